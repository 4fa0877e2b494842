//! Whether messages tell when like faults end.

use super::*;
use crate::experience::episodes;
use forewarn::experience::{Experience, Like, Size};
use forewarn::incident::{CauseKind, PartClass};
use forewarn::pipeline::correlator::nothing_live;
use forewarn::pipeline::live::Live;
use tokio::sync::watch;

const USUALLY: &str = "di solito si risolvono";

fn recorded(worker: &Dispatcher) -> Vec<String> {
    let Channel::Recorder(recorder) = &worker.outlet().channel else {
        return Vec::new();
    };
    recorder.take().into_iter().map(|sent| sent.text).collect()
}

#[rstest]
#[tokio::test]
async fn a_guess_goes_along_with_messages_and_asks_for_none(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let minutes: Vec<i64> = (1..=60).map(|n| 31 + n * 7 % 60).collect();
    let like = Like {
        kind: CauseKind::Equipment,
        class: PartClass::Unknown,
        size: Size::Tens,
    };
    let (_shown, live) = watch::channel(Arc::new(Live {
        experience: Arc::new(Experience::new(episodes(like, &minutes))),
        ..nothing_live()
    }));
    for tells in [false, true] {
        let t = with_people(backend, &[subscriber(0)]).await;
        let mut worker = dispatcher(&t.store, accept());
        if tells {
            worker = worker.telling_experience(live.clone());
        }
        let incident = confirmed();
        change(&t.store, &incident, &[0], NOW_MS).await;
        assert_eq!(worker.step(NOW_MS).await.unwrap().sent, 1);
        let first = recorded(&worker).remove(0);
        assert_eq!(first.contains(USUALLY), tells, "{first}");
        assert!(first.contains("Non abbiamo ancora un orario"), "{first}");
        // The range has moved, which is no news.
        for minutes in [40, 70, 200] {
            let now_ms = NOW_MS + minutes * MINUTE;
            let mut later = incident.clone();
            later.revision += 1;
            let plan = change(&t.store, &later, &[0], now_ms).await;
            assert!(plan.notices.is_empty(), "{plan:?}");
            assert_eq!(worker.step(now_ms).await.unwrap(), Progress::default());
        }
        let mut told = incident;
        told.estimate = Some(Estimate {
            from_ms: NOW_MS + 300 * MINUTE,
            to_ms: NOW_MS + 330 * MINUTE,
        });
        let now_ms = NOW_MS + 210 * MINUTE;
        change(&t.store, &told, &[0], now_ms).await;
        assert_eq!(worker.step(now_ms).await.unwrap().sent, 1);
        let estimate = recorded(&worker).remove(0);
        assert!(!estimate.contains(USUALLY), "{estimate}");
        assert!(estimate.contains("tra le 19:00 e le 19:30"), "{estimate}");
    }
}
