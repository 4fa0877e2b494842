//! Why somebody is not told, or not yet.

use super::*;

fn planned(recipient: Recipient, policy: &NoticePolicy, now_ms: i64) -> PlannedNotice {
    let incident = incident(1, IncidentState::Confirmed);
    let made = plan(&PlanInput {
        incident: &incident,
        now_ms,
        policy,
        recipients: &[recipient],
        never_lost: &BTreeSet::new(),
        prior: &[],
    });
    made.notices.into_iter().next().unwrap()
}

#[test]
fn whoever_is_not_told_has_a_row_that_says_why() {
    let policy = NoticePolicy::default();
    let with = |change: fn(&mut Recipient)| {
        let mut recipient = recipient(0);
        change(&mut recipient);
        let planned = planned(recipient, &policy, 0);
        (planned.decision, planned.state())
    };
    let not_sent = |decision| (decision, NoticeState::NotSent);
    assert_eq!(with(|_| {}), (Decision::Send, NoticeState::Pending));
    assert_eq!(with(|r| r.arm = Arm::HeldOut), not_sent(Decision::HeldOut));
    assert_eq!(with(|r| r.consent = false), not_sent(Decision::NoConsent));
    assert_eq!(with(|r| r.opted_out = true), not_sent(Decision::OptedOut));
    assert_eq!(
        with(|r| r.has_email = false),
        not_sent(Decision::NoContactPoint)
    );
    assert_eq!(
        with(|r| r.suppressed = true),
        not_sent(Decision::SuppressedAddress)
    );
    assert_eq!(
        with(|r| r.sent_last_day = 99),
        not_sent(Decision::CapReached)
    );
    let covered = |r: &mut Recipient| {
        r.covered_by = Some(Coverage {
            incident: IncidentNo(9),
            settled: true,
            merged: false,
        });
    };
    assert_eq!(with(covered), not_sent(Decision::Covered));
    let strict = NoticePolicy {
        min_affected: 100,
        ..NoticePolicy::default()
    };
    let few = planned(recipient(0), &strict, 0);
    assert_eq!(few.decision, Decision::BelowThreshold);
}

#[test]
fn quiet_hours_hold_back_until_they_end_where_the_person_lives() {
    // 2026-03-28T22:30:00Z is 23:30 in Rome; that night the clocks go forward.
    let now_ms = 1_774_737_000_000;
    let policy = NoticePolicy::default();
    let mut quiet = recipient(0);
    quiet.quiet_hours = QuietHours::parse("22:00-07:00");
    let held = planned(quiet.clone(), &policy, now_ms);
    assert_eq!(held.decision, Decision::Send);
    // 07:00 summer time is 05:00Z.
    assert_eq!(held.available_at_ms, now_ms + (6 * 60 + 30) * MINUTE);
    quiet.vulnerable = true;
    assert_eq!(
        planned(quiet.clone(), &policy, now_ms).available_at_ms,
        now_ms
    );
    quiet.vulnerable = false;
    let severe = NoticePolicy {
        quiet_override_affected: Some(10),
        ..NoticePolicy::default()
    };
    assert_eq!(
        planned(quiet.clone(), &severe, now_ms).available_at_ms,
        now_ms
    );
    let hasty = NoticePolicy {
        first_useless_after_ms: 60 * MINUTE,
        ..NoticePolicy::default()
    };
    assert_eq!(
        planned(quiet, &hasty, now_ms).decision,
        Decision::QuietHours
    );
}

#[test]
fn whoever_has_asked_since_not_to_be_told_has_a_row_that_says_so_when_service_goes_again() {
    let policy = NoticePolicy::default();
    let first = planned(recipient(0), &policy, 0);
    let told = World::bare(&Row {
        state: NoticeState::Sent,
        over: false,
        reason: "",
        attempt: 1,
        available_at_ms: 0,
        sent_at_ms: Some(0),
        facts: first.facts,
        planned: first,
    });
    let mut again = incident(1, IncidentState::Confirmed);
    again.reopened = 1;
    for (opted_out, decision) in [(false, Decision::AlreadyTold), (true, Decision::OptedOut)] {
        let mut recipient = recipient(0);
        recipient.opted_out = opted_out;
        let made = plan(&PlanInput {
            incident: &again,
            now_ms: MINUTE,
            policy: &policy,
            recipients: &[recipient],
            never_lost: &BTreeSet::new(),
            prior: std::slice::from_ref(&told),
        });
        let decisions: Vec<_> = made.notices.iter().map(|n| n.decision).collect();
        assert_eq!(decisions, [decision]);
    }
}

fn sent(notice: PlannedNotice, sent_at_ms: i64) -> PriorNotice {
    World::bare(&Row {
        state: NoticeState::Sent,
        over: false,
        reason: "",
        attempt: 1,
        available_at_ms: sent_at_ms,
        sent_at_ms: Some(sent_at_ms),
        facts: notice.facts,
        planned: notice,
    })
}

/// What is planned for one person, and what is taken back.
fn news_of(incident: &Incident, prior: &[PriorNotice], now_ms: i64) -> (Vec<PlannedNotice>, usize) {
    news_for(recipient(0), incident, prior, now_ms)
}

fn news_for(
    recipient: Recipient,
    incident: &Incident,
    prior: &[PriorNotice],
    now_ms: i64,
) -> (Vec<PlannedNotice>, usize) {
    let made = plan(&PlanInput {
        incident,
        now_ms,
        policy: &NoticePolicy::default(),
        recipients: &[recipient],
        never_lost: &BTreeSet::new(),
        prior,
    });
    (made.notices, made.cancel.len())
}

#[test]
fn the_first_estimate_is_told_at_once_and_the_next_after_the_interval() {
    let policy = NoticePolicy::default();
    let first = sent(planned(recipient(0), &policy, 0), 0);
    let mut estimated = incident(1, IncidentState::Confirmed);
    estimated.cause.kind = CauseKind::FibreCut;
    // A cause waits for its time; an estimate that comes meanwhile takes its place.
    let (update, _) = news_of(&estimated, std::slice::from_ref(&first), MINUTE);
    let [update] = update.try_into().unwrap();
    assert_eq!(update.stage, Stage::Update);
    assert_eq!(update.available_at_ms, policy.update_interval_ms);
    let waiting = World::bare(&Row {
        state: NoticeState::Pending,
        over: false,
        reason: "",
        attempt: 0,
        available_at_ms: update.available_at_ms,
        sent_at_ms: None,
        facts: update.facts,
        planned: update,
    });
    let until = |to_ms| Some(Estimate { from_ms: 0, to_ms });
    estimated.estimate = until(60 * MINUTE);
    let prior = [first.clone(), waiting];
    let mut told_enough = recipient(0);
    told_enough.sent_last_day = NoticePolicy::default().max_per_day;
    assert_eq!(
        news_for(told_enough, &estimated, &prior, 2 * MINUTE),
        (vec![], 0),
        "the update still waits"
    );
    let (estimate, taken_back) = news_of(&estimated, &prior, 2 * MINUTE);
    let [estimate] = estimate.try_into().unwrap();
    assert_eq!((estimate.available_at_ms, taken_back), (2 * MINUTE, 1));
    let told = [first, sent(estimate, 2 * MINUTE)];
    estimated.estimate = until(120 * MINUTE);
    let (next, _) = news_of(&estimated, &told, 3 * MINUTE);
    let [next] = next.try_into().unwrap();
    let due_ms = 2 * MINUTE + policy.update_interval_ms;
    assert_eq!(
        (next.stage, next.available_at_ms),
        (Stage::Estimate, due_ms)
    );
    let verdict = |notice: &PriorNotice, now_ms| {
        decide(&GateInput {
            notice,
            useless_after_ms: i64::MAX,
            incident: Some(&estimated),
            history: &told,
            person: Some(&addressee(0)),
            elsewhere: Elsewhere::No,
            now_ms,
            policy: &policy,
        })
    };
    // The gate decides alike.
    let mut of_next = told[1].clone();
    of_next.id = next.id;
    of_next.stage_no = next.stage_no;
    let held = verdict(&of_next, 3 * MINUTE);
    assert!(matches!(held, Verdict::Wait { until_ms, .. } if until_ms == due_ms));
    assert!(matches!(verdict(&of_next, due_ms), Verdict::Send));
}
