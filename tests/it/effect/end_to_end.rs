//! The report from the tables: who is counted, and that its intervals hold what they promise.

use super::world::{
    First, HOUR, ONSET, by_account, by_contact, fault, held_out, notify, person, publish, save,
    told,
};
use crate::support::{Backend, store};
use forewarn::effect::complaint::Complaint;
use forewarn::effect::estimate::{ArmCounts, Arms};
use forewarn::effect::holdout::{ClusterCounts, Experiment, arm};
use forewarn::effect::report::{
    DEFAULT_WINDOW_S, EffectFacts, EffectReport, IncidentCounts, LeadTime, assemble,
};
use forewarn::incident::{IncidentNo, IncidentState};
use forewarn::notice::{Arm, Decision};
use forewarn::store::{ClusterAssignment, EffectScope, Store};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;

fn experiment() -> Experiment {
    Experiment {
        name: "spring".to_owned(),
        holdout_percent: 10.0,
    }
}

fn arms(a: u64, n1: u64, c: u64, n0: u64) -> Arms {
    Arms {
        told: ArmCounts {
            subscribers: n1,
            complained: a,
        },
        held_out: ArmCounts {
            subscribers: n0,
            complained: c,
        },
    }
}

const ALL: EffectScope = EffectScope::Onset {
    from_ms: 0,
    to_ms: i64::MAX,
};

#[rstest]
#[tokio::test]
async fn people_count_by_assignment_and_only_where_they_could_be_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    publish(&t.store, &[person("told-4", "+39 06 5550 0104", None)]).await;
    let incident = fault(1, ONSET, None);
    save(&t.store, &incident).await;
    let with = |account, arm, decision, sent| First {
        account,
        arm,
        decision,
        sent,
    };
    let firsts = [
        told("told-1", 60_000),
        told("told-2", 120_000),
        told("told-3", 600_000),
        told("told-4", 60_000),
        // Told in vain, or not after all: assigned all the same.
        with("told-5", Arm::Told, Decision::Send, None),
        with("told-6", Arm::Told, Decision::CapReached, None),
        held_out("held-1"),
        held_out("held-2"),
        // Could not have been told, in either arm.
        with("mute-1", Arm::Told, Decision::NoContactPoint, None),
        with("mute-2", Arm::HeldOut, Decision::OptedOut, None),
        // Outside the experiment, though told.
        with("frail", Arm::NotAssigned, Decision::Send, Some(30_000)),
    ];
    notify(&t.store, &incident, &firsts).await;
    let complaints = [
        by_account("01", "told-1", ONSET + 30_000),
        by_account("02", "told-1", ONSET + 90_000),
        by_account("03", "told-2", ONSET + HOUR),
        by_account("04", "told-3", ONSET + 24 * HOUR),
        by_contact("05", "TOLD-4@example.net", ONSET + HOUR),
        by_account("06", "told-6", ONSET + HOUR),
        by_account("07", "held-1", ONSET - HOUR),
        by_account("08", "mute-1", ONSET + HOUR),
        by_account("09", "mute-2", ONSET + HOUR),
        by_account("10", "frail", ONSET + HOUR),
    ];
    t.store
        .take_complaints(&complaints, ONSET + 25 * HOUR)
        .await
        .unwrap();
    let mut tx = t.store.begin().await.unwrap();
    let clusters = [
        ("pon1", Arm::Told),
        ("pon2", Arm::HeldOut),
        ("pon3", Arm::Told),
    ];
    let clusters = clusters.map(|(cluster, arm)| ClusterAssignment {
        cluster: cluster.to_owned(),
        arm,
    });
    tx.save_assignments(incident.no, "spring", &clusters, ONSET)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let facts = t
        .store
        .effect_facts(&ALL, "spring", DEFAULT_WINDOW_S)
        .await
        .unwrap();
    let expected = EffectFacts {
        incidents: vec![IncidentCounts {
            incident: IncidentNo(1),
            arms: arms(4, 6, 1, 2),
        }],
        clusters: ClusterCounts {
            told: 2,
            held_out: 1,
        },
        lead_time: LeadTime {
            before_notice: 1,
            after_notice: 3,
            never: 1,
            median_s: Some(60.0),
            p90_s: Some(600.0),
        },
    };
    assert_eq!(facts, expected);
    let longer = t
        .store
        .effect_facts(&ALL, "spring", DEFAULT_WINDOW_S + 1)
        .await
        .unwrap();
    assert_eq!(longer.incidents[0].arms, arms(5, 6, 1, 2));
    let other = t
        .store
        .effect_facts(&ALL, "autumn", DEFAULT_WINDOW_S)
        .await
        .unwrap();
    assert_eq!(other.clusters, ClusterCounts::default());
}

#[rstest]
#[tokio::test]
async fn people_first_told_in_a_later_episode_count_from_its_onset(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    // Never confirmed at first; told when it recurs; and it recurs once more.
    let mut incident = fault(1, ONSET, None);
    save(&t.store, &incident).await;
    let second = ONSET + 48 * HOUR;
    incident.reopened = 1;
    incident.onset_ms = second;
    save(&t.store, &incident).await;
    let firsts = [
        told("told-1", 60_000),
        told("told-2", 60_000),
        held_out("held-1"),
    ];
    notify(&t.store, &incident, &firsts).await;
    incident.reopened = 2;
    incident.onset_ms = second + 48 * HOUR;
    save(&t.store, &incident).await;
    notify(
        &t.store,
        &incident,
        &[told("told-1", 1_000), told("told-3", 1_000)],
    )
    .await;
    let complaints = [
        by_account("01", "told-1", ONSET + HOUR),
        by_account("02", "told-2", second + HOUR),
        by_account("03", "held-1", second + HOUR),
        by_account("04", "told-1", second + 49 * HOUR),
    ];
    let now_ms = second + 60 * HOUR;
    t.store.take_complaints(&complaints, now_ms).await.unwrap();
    let facts = t
        .store
        .effect_facts(&ALL, "spring", DEFAULT_WINDOW_S)
        .await
        .unwrap();
    assert_eq!(facts.incidents[0].arms, arms(1, 2, 1, 1));
    assert_eq!(facts.lead_time.median_s, Some(60.0));
    assert_eq!(
        (facts.lead_time.after_notice, facts.lead_time.never),
        (1, 1)
    );
}

#[rstest]
#[tokio::test]
async fn the_scope_is_kept_and_rejected_incidents_are_left_out(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let t = store(backend).await;
    for no in 1..=4 {
        let mut incident = fault(no, ONSET + no, None);
        if no == 3 {
            incident.state = IncidentState::Rejected;
        }
        save(&t.store, &incident).await;
    }
    let numbers = async |scope: EffectScope| {
        let facts = t
            .store
            .effect_facts(&scope, "spring", DEFAULT_WINDOW_S)
            .await
            .unwrap();
        let numbers: Vec<_> = facts
            .incidents
            .iter()
            .map(|counts| counts.incident.0)
            .collect();
        numbers
    };
    assert_eq!(numbers(ALL).await, [1, 2, 4]);
    let from_ms = ONSET + 2;
    assert_eq!(
        numbers(EffectScope::Onset {
            from_ms,
            to_ms: ONSET + 4
        })
        .await,
        [2]
    );
    let named = EffectScope::Incidents(vec![IncidentNo(4), IncidentNo(3), IncidentNo(9)]);
    assert_eq!(numbers(named).await, [4]);
    assert_eq!(
        numbers(EffectScope::Incidents(Vec::new())).await,
        [0_i64; 0]
    );
}

fn report(incidents: &[Arms], clusters: ClusterCounts) -> EffectReport {
    let incidents = (1..)
        .zip(incidents)
        .map(|(no, arms)| IncidentCounts {
            incident: IncidentNo(no),
            arms: *arms,
        })
        .collect();
    let facts = EffectFacts {
        incidents,
        clusters,
        lead_time: LeadTime::default(),
    };
    assemble(&facts, &experiment(), DEFAULT_WINDOW_S)
}

const FAIR: ClusterCounts = ClusterCounts {
    told: 900,
    held_out: 100,
};

#[rstest]
#[case::no_incident(&[], FAIR, "No claim: there is no incident")]
#[case::nobody_held_out(&[arms(5, 100, 0, 0)], FAIR, "No claim: nobody was held out at random")]
#[case::never_both(&[arms(5, 100, 0, 0), arms(0, 0, 3, 9)], FAIR, "No claim: no incident has both")]
#[case::no_complaints(&[arms(0, 100, 0, 10)], FAIR, "No claim: there are too few complaints")]
#[case::unsure(&[arms(90, 1_000, 10, 100)], FAIR, "No claim: the told complained 0.90 times as often as the held out, but the 95 % interval, 0.48 to 1.67, covers 1")]
#[case::wrong_arms(&[arms(100, 9_000, 100, 1_000)], ClusterCounts { told: 900, held_out: 300 }, "No claim: of the clusters of this experiment 900 were told and 300 held out")]
fn nothing_is_claimed_without_ground(
    #[case] incidents: &[Arms],
    #[case] clusters: ClusterCounts,
    #[case] starts: &str,
) {
    let claim = report(incidents, clusters).claim;
    assert!(!claim.allowed);
    assert!(claim.text.starts_with(starts), "{}", claim.text);
}

#[test]
fn what_is_claimed_says_how_much_and_how_sure() {
    let claim = report(&[arms(450, 9_000, 100, 1_000)], FAIR).claim;
    assert!(claim.allowed);
    let starts = "Telling people lowered the probability of a complaint within 24 hours of onset by \
        50.0 % (95 % interval 38.5 % to 59.3 %), comparing 9000 told with 1000 held out at random \
        in 1 incident.";
    assert!(claim.text.starts_with(starts), "{}", claim.text);
    let claim = report(
        &[arms(900, 4_500, 50, 500), arms(900, 4_500, 50, 500)],
        FAIR,
    )
    .claim;
    assert!(claim.allowed);
    let starts =
        "Telling people raised the probability of a complaint within 24 hours of onset by 100.0 %";
    assert!(claim.text.starts_with(starts), "{}", claim.text);
}

const SEEDS: u64 = 50;
const TRUE_RATIO: f64 = 0.5;

/// Three incidents of different size and risk; people of 4 to a cluster, assigned by the keyed
/// hash. Several experiments share a store.
async fn simulate(store: &Store, seed: u64) -> EffectReport {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let key: [u8; 32] = rng.random();
    let experiment = Experiment {
        holdout_percent: 30.0,
        ..experiment()
    };
    let mut complaints: Vec<Complaint> = Vec::new();
    let mut numbers = Vec::new();
    for (no, people, risk) in [(1, 300, 0.30), (2, 120, 0.50), (3, 450, 0.15)] {
        let incident = fault(i64::try_from(seed).unwrap() * 3 + no, ONSET, None);
        save(store, &incident).await;
        numbers.push(incident.no);
        let accounts: Vec<String> = (0..people)
            .map(|n| format!("A{}-{n}", incident.no.0))
            .collect();
        let (mut firsts, mut clusters) = (Vec::new(), Vec::new());
        for (index, account) in accounts.iter().enumerate() {
            let cluster = format!("pon{}", index / 4);
            let percent = experiment.holdout_percent;
            let drawn = arm(&key, &experiment.name, incident.no, &cluster, percent);
            let (first, risk) = match drawn {
                Arm::HeldOut => (held_out(account), risk),
                _ => (told(account, 1), risk * TRUE_RATIO),
            };
            firsts.push(first);
            if index % 4 == 0 {
                clusters.push(ClusterAssignment {
                    cluster,
                    arm: drawn,
                });
            }
            if rng.random_bool(risk) {
                let at_ms = ONSET + rng.random_range(0..24 * HOUR);
                complaints.push(by_account(&format!("T-{account}"), account, at_ms));
            }
        }
        notify(store, &incident, &firsts).await;
        let mut tx = store.begin().await.unwrap();
        tx.save_assignments(incident.no, &experiment.name, &clusters, ONSET)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let taken = store
        .take_complaints(&complaints, ONSET + 24 * HOUR)
        .await
        .unwrap();
    assert_eq!(taken.matched, complaints.len() as u64);
    let scope = EffectScope::Incidents(numbers);
    let facts = store
        .effect_facts(&scope, &experiment.name, DEFAULT_WINDOW_S)
        .await
        .unwrap();
    let report = assemble(&facts, &experiment, DEFAULT_WINDOW_S);
    let arms = report.pooled.arms;
    assert_eq!(arms.told.subscribers + arms.held_out.subscribers, 870);
    let complained = arms.told.complained + arms.held_out.complained;
    assert_eq!(complained, complaints.len() as u64);
    report
}

#[tokio::test]
async fn reports_of_simulated_experiments_cover_the_truth() {
    let t = store(Backend::Sqlite).await;
    let (mut covered, mut claimed) = (0, 0);
    for seed in 0..SEEDS {
        let report = simulate(&t.store, seed).await;
        let ratio = report.pooled.risk_ratio.unwrap();
        covered += u64::from(ratio.covers(TRUE_RATIO));
        claimed += u64::from(report.claim.allowed);
    }
    // 47.5 expected; 42 or fewer have a probability below 1 %.
    assert!(covered > 42, "{covered} of {SEEDS}");
    assert!(claimed >= 45, "{claimed} of {SEEDS}");
}

#[tokio::test]
async fn both_engines_report_the_same() {
    let sqlite = store(Backend::Sqlite).await;
    let postgres = store(Backend::Postgres).await;
    for seed in 0..3 {
        let (here, there) = (
            simulate(&sqlite.store, seed).await,
            simulate(&postgres.store, seed).await,
        );
        assert_eq!(here, there);
    }
}
