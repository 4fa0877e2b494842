//! Since when a person is told to be without service.

use super::*;

fn planned(
    incident: &Incident,
    lost: &[Recipient],
    prior: &[PriorNotice],
    now_ms: i64,
) -> Vec<PlannedNotice> {
    let input = PlanInput {
        incident,
        now_ms,
        policy: &NoticePolicy::default(),
        recipients: lost,
        never_lost: &BTreeSet::new(),
        prior,
    };
    plan(&input).notices
}

fn sent(notice: &PlannedNotice, at_ms: i64) -> PriorNotice {
    PriorNotice {
        id: notice.id,
        account: notice.account.clone(),
        episode: notice.episode,
        stage: notice.stage,
        stage_no: notice.stage_no,
        state: NoticeState::Sent,
        decision: notice.decision,
        over: false,
        handed_over: false,
        heir_closed: false,
        attempt: 1,
        planned_at_ms: notice.planned_at_ms,
        sent_at_ms: Some(at_ms),
        facts: Some(notice.facts),
        cover: None,
        person: notice.person.clone(),
    }
}

#[test]
fn each_person_hears_their_own_time_and_it_stays_the_same_until_the_end() {
    let mut fault = incident(1, IncidentState::Confirmed);
    fault.onset_ms = 10 * MINUTE;
    let mut late = recipient(1);
    late.lost_since_ms = Some(70 * MINUTE);
    let people = [recipient(0), late];
    let firsts = planned(&fault, &people, &[], 72 * MINUTE);
    let times: Vec<i64> = firsts.iter().map(|n| n.facts.onset_ms).collect();
    assert_eq!(times, [10 * MINUTE, 70 * MINUTE]);
    let mut prior: Vec<PriorNotice> = firsts.iter().map(|n| sent(n, 73 * MINUTE)).collect();
    // The incident turns out to have begun earlier; and who was cut off when looks otherwise.
    fault.onset_ms = 8 * MINUTE;
    fault.estimate = Some(Estimate {
        from_ms: 200 * MINUTE,
        to_ms: 240 * MINUTE,
    });
    let mut later = recipient(0);
    later.lost_since_ms = Some(75 * MINUTE);
    let news = planned(&fault, &[later, recipient(1)], &prior, 150 * MINUTE);
    let told: Vec<(Stage, i64)> = news.iter().map(|n| (n.stage, n.facts.onset_ms)).collect();
    assert_eq!(
        told,
        [
            (Stage::Estimate, 10 * MINUTE),
            (Stage::Estimate, 8 * MINUTE)
        ],
        "never later than was told"
    );
    prior.extend(news.iter().map(|n| sent(n, 151 * MINUTE)));
    fault.state = IncidentState::Restored;
    fault.restored_ms = Some(180 * MINUTE);
    let closed = planned(&fault, &[], &prior, 181 * MINUTE);
    let told: Vec<(Stage, i64)> = closed.iter().map(|n| (n.stage, n.facts.onset_ms)).collect();
    assert_eq!(
        told,
        [
            (Stage::Restored, 10 * MINUTE),
            (Stage::Restored, 8 * MINUTE)
        ]
    );
}

#[test]
fn what_was_told_of_an_outage_that_is_over_dates_no_other() {
    let mut fault = incident(1, IncidentState::Confirmed);
    fault.onset_ms = 10 * MINUTE;
    let first = planned(&fault, &[recipient(0)], &[], 12 * MINUTE);
    let mut prior: Vec<PriorNotice> = first.iter().map(|n| sent(n, 12 * MINUTE)).collect();
    fault.state = IncidentState::Restored;
    fault.restored_ms = Some(20 * MINUTE);
    let closed = planned(&fault, &[], &prior, 22 * MINUTE);
    prior.extend(closed.iter().map(|n| sent(n, 22 * MINUTE)));
    fault.state = IncidentState::Confirmed;
    fault.restored_ms = None;
    fault.reopened = 1;
    fault.onset_ms = 40 * MINUTE;
    let again = planned(&fault, &[recipient(0)], &prior, 42 * MINUTE);
    let told: Vec<(Stage, i64)> = again.iter().map(|n| (n.stage, n.facts.onset_ms)).collect();
    assert_eq!(told, [(Stage::First, 40 * MINUTE)]);
}
