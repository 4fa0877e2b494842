//! What operators see and do over gRPC.

use super::*;

#[tokio::test]
async fn commands_are_answered_after_their_commit() {
    let world = World::start(Backend::Sqlite).await;
    world
        .show(&[(incident(1, IncidentState::Suspected), "olt1")])
        .await;
    let mut api = world.incidents("operator").await;
    let confirm = v1::ConfirmIncidentRequest {
        id: "inc-1".to_owned(),
        note: String::new(),
    };
    let confirmed = requested(api.confirm_incident(confirm).await).unwrap();
    assert_eq!(confirmed.state(), v1::IncidentState::Confirmed);
    assert_eq!(confirmed.revision, 2);
    let estimate = v1::SetEstimateRequest {
        id: "1".to_owned(),
        from_ms: NOW_MS + 1,
        to_ms: NOW_MS + 2,
    };
    let set = requested(api.set_estimate(estimate).await).unwrap();
    assert_eq!(
        (set.estimate_from_ms, set.estimate_to_ms),
        (NOW_MS + 1, NOW_MS + 2)
    );
    let cause = v1::SetCauseRequest {
        id: "INC-1".to_owned(),
        kind: "power".to_owned(),
        text: "mains".to_owned(),
        resources: Vec::new(),
    };
    let set = requested(api.set_cause(cause).await).unwrap();
    assert_eq!(set.cause.unwrap().kind, "power");
    let reject = v1::RejectIncidentRequest {
        id: "INC-1".to_owned(),
        reason: "a test of ours".to_owned(),
    };
    let over = requested(api.reject_incident(reject.clone()).await).unwrap();
    let expected = (over.estimate_from_ms, over.estimate_to_ms);
    assert_eq!(expected, (0, 0), "nothing is expected of what is over");
    let again = requested(api.reject_incident(reject).await);
    assert_eq!(again.unwrap_err(), Code::FailedPrecondition);
    let note = v1::AddNoteRequest {
        id: "INC-9".to_owned(),
        text: "who?".to_owned(),
    };
    let unknown = requested(api.add_note(note).await);
    assert_eq!(unknown.unwrap_err(), Code::NotFound);
    world.stop().await;
}

#[tokio::test]
async fn what_is_over_is_known_although_nothing_can_be_done_with_it() {
    let world = World::start(Backend::Sqlite).await;
    let mut merged = incident(6, IncidentState::Restored);
    merged.merged_into = Some(IncidentNo(3));
    for over in [merged, incident(7, IncidentState::Restored)] {
        save(&world.t.store, &over, &[]).await;
    }
    let mut api = world.incidents("operator").await;
    for (id, expected) in [
        ("INC-6", "INC-6 went on in INC-3: look there"),
        ("INC-7", "INC-7 is restored, which does not allow this"),
    ] {
        let confirm = v1::ConfirmIncidentRequest {
            id: id.to_owned(),
            note: String::new(),
        };
        let status = api.confirm_incident(confirm).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), expected);
    }
    world.stop().await;
}

#[tokio::test]
async fn notices_of_an_unknown_incident_are_none_of_anybody() {
    let world = World::start(Backend::Sqlite).await;
    let known = incident(1, IncidentState::Confirmed);
    world.show(&[(known, "olt1")]).await;
    let mut notices = client::notices(&connect(&world.args("operator")).await.unwrap());
    for (id, code) in [("INC-1", None), ("INC-99", Some(Code::NotFound))] {
        let request = v1::ListNoticesRequest {
            incident_id: id.to_owned(),
            ..v1::ListNoticesRequest::default()
        };
        let listed = requested(notices.list_notices(request).await);
        assert_eq!(listed.err(), code, "{id}");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_field() {
    let world = World::start(Backend::Sqlite).await;
    world
        .show(&[(incident(1, IncidentState::Confirmed), "olt1")])
        .await;
    let mut api = world.incidents("operator").await;
    let estimate = |from_ms, to_ms| v1::SetEstimateRequest {
        id: "INC-1".to_owned(),
        from_ms,
        to_ms,
    };
    for (request, field) in [
        (estimate(NOW_MS - 1, NOW_MS + 1), "from_ms"),
        (estimate(NOW_MS + 2, NOW_MS + 1), "to_ms"),
        (estimate(0, NOW_MS + 1), "from_ms"),
        (estimate(NOW_MS + 1, i64::MAX), "to_ms"),
        (
            estimate(NOW_MS + 1, NOW_MS + 1_001 * 24 * 3_600_000),
            "to_ms",
        ),
    ] {
        let status = api.set_estimate(request).await.unwrap_err();
        assert_eq!(fields(&status), [field]);
    }
    for unfit in [" ", "a\0b", "\u{1b}[31mred"] {
        let request = v1::RejectIncidentRequest {
            id: "INC-1".to_owned(),
            reason: unfit.to_owned(),
        };
        let status = api.reject_incident(request).await.unwrap_err();
        assert_eq!(fields(&status), ["reason"]);
    }
    let id = "fibre".to_owned();
    let status = api
        .get_incident(v1::GetIncidentRequest { id })
        .await
        .unwrap_err();
    assert_eq!(fields(&status), ["id"]);
    let too_many = v1::ListIncidentsRequest {
        page_size: 501,
        ..v1::ListIncidentsRequest::default()
    };
    let status = api.list_incidents(too_many).await.unwrap_err();
    assert_eq!(fields(&status), ["page_size"]);
    let nul = v1::ListNoticesRequest {
        account: "a\0b".to_owned(),
        ..v1::ListNoticesRequest::default()
    };
    let mut notices = client::notices(&connect(&world.args("operator")).await.unwrap());
    let status = notices.list_notices(nul).await.unwrap_err();
    assert_eq!(fields(&status), ["account"]);
    let nonsense = v1::ListAffectedRequest {
        incident_id: "INC-1".to_owned(),
        decision: "nonsense".to_owned(),
        ..v1::ListAffectedRequest::default()
    };
    let status = api.list_affected(nonsense).await.unwrap_err();
    assert_eq!(fields(&status), ["decision"]);
    world.stop().await;
}

#[tokio::test]
async fn care_may_look_but_not_act_and_ingest_neither() {
    let world = World::start(Backend::Sqlite).await;
    world
        .show(&[(incident(1, IncidentState::Suspected), "olt1")])
        .await;
    for (role, look, act) in [
        ("care", None, Some(Code::PermissionDenied)),
        (
            "ingest",
            Some(Code::PermissionDenied),
            Some(Code::PermissionDenied),
        ),
        (
            "nobody",
            Some(Code::Unauthenticated),
            Some(Code::Unauthenticated),
        ),
        ("admin", None, None),
    ] {
        let mut api = world.incidents(role).await;
        let id = "INC-1".to_owned();
        let got = api.get_incident(v1::GetIncidentRequest { id }).await;
        assert_eq!(requested(got).err(), look, "{role}");
        let confirm = v1::ConfirmIncidentRequest {
            id: "INC-1".to_owned(),
            note: String::new(),
        };
        let done = api.confirm_incident(confirm).await;
        assert_eq!(requested(done).err(), act, "{role}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_watcher_sees_the_open_ones_and_then_every_end() {
    let world = World::start(Backend::Sqlite).await;
    let restored = incident(1, IncidentState::Restored);
    let open = incident(2, IncidentState::Suspected);
    world
        .show(&[(restored, "olt2"), (open.clone(), "olt1")])
        .await;
    let mut api = world.incidents("care").await;
    let watch = v1::WatchIncidentsRequest {};
    let mut changes = requested(api.watch_incidents(watch).await).unwrap();
    let mut next = async || {
        let change = changes.message().await.unwrap().unwrap();
        let incident = change.incident.unwrap();
        (incident.id.clone(), incident.state(), change.live)
    };
    let suspected = v1::IncidentState::Suspected;
    assert_eq!(next().await, ("INC-2".to_owned(), suspected, false));

    // Leaves the live view with its last change, and one more came and went in between.
    let mut rejected = open;
    rejected.state = IncidentState::Rejected;
    rejected.revision += 1;
    let unseen = incident(3, IncidentState::Rejected);
    let new = incident(4, IncidentState::Confirmed);
    world
        .show(&[(rejected, "olt1"), (unseen, "olt1"), (new, "olt1")])
        .await;
    let (confirmed, gone) = (v1::IncidentState::Confirmed, v1::IncidentState::Rejected);
    assert_eq!(next().await, ("INC-2".to_owned(), gone, true));
    assert_eq!(next().await, ("INC-3".to_owned(), gone, true));
    assert_eq!(next().await, ("INC-4".to_owned(), confirmed, true));

    world.shutdown.cancel();
    let end = changes.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    world.stop().await;
}

async fn affected(world: &World, request: v1::ListAffectedRequest) -> Vec<String> {
    let mut api = world.incidents("operator").await;
    let mut people = requested(api.list_affected(request).await).unwrap();
    let mut lines = Vec::new();
    while let Some(p) = people.message().await.unwrap() {
        let of = [p.account, p.name, p.impact, p.decision, p.notice_state];
        lines.push(of.join(" "));
    }
    lines.sort();
    lines
}

#[rstest]
#[tokio::test]
async fn the_affected_are_listed_with_what_each_was_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    let mut fault = incident(1, IncidentState::Confirmed);
    world.show(&[(fault.clone(), "olt1")]).await;
    world
        .notice(&fault, "A1", Stage::First, Decision::HeldOut)
        .await;
    world
        .notice(&fault, "A2", Stage::First, Decision::Send)
        .await;
    let all = v1::ListAffectedRequest {
        incident_id: "INC-1".to_owned(),
        ..v1::ListAffectedRequest::default()
    };
    let (a1, a2, a3) = (
        "A1 Person 1 lost held_out not_sent",
        "A2 Person 2 lost send sent",
        "A3 Person 3 lost  ",
    );
    assert_eq!(affected(&world, all.clone()).await, [a1, a2, a3]);
    let italian = v1::ListAffectedRequest {
        language: "it".to_owned(),
        ..all.clone()
    };
    assert_eq!(affected(&world, italian).await, [a1, a3]);
    let business = v1::ListAffectedRequest {
        segment: "business".to_owned(),
        ..all.clone()
    };
    assert_eq!(affected(&world, business).await, [a2]);
    let vulnerable = v1::ListAffectedRequest {
        vulnerable_only: true,
        ..all.clone()
    };
    assert_eq!(affected(&world, vulnerable).await, [a3]);
    let held_out = v1::ListAffectedRequest {
        decision: "held_out".to_owned(),
        ..all.clone()
    };
    assert_eq!(affected(&world, held_out).await, [a1]);

    // Closed: what is left are the notices.
    fault.state = IncidentState::Restored;
    fault.revision += 1;
    world.show(&[(fault, "olt1")]).await;
    assert_eq!(affected(&world, all).await, [a1, a2]);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn notices_are_listed_counted_and_shown(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::start(backend).await;
    let fault = incident(1, IncidentState::Confirmed);
    world.show(&[(fault.clone(), "olt1")]).await;
    let held = world
        .notice(&fault, "A1", Stage::First, Decision::HeldOut)
        .await;
    let sent = world
        .notice(&fault, "A2", Stage::First, Decision::Send)
        .await;
    let mut incidents = world.incidents("care").await;
    let page = v1::ListIncidentsRequest::default();
    let listed = requested(incidents.list_incidents(page).await).unwrap();
    let counts: Vec<_> = listed.incidents[0].notices.clone().into_iter().collect();
    assert_eq!(counts, [("held_out".to_owned(), 1), ("sent".to_owned(), 1)]);

    let connection = connect(&world.args("operator")).await.unwrap();
    let mut api = client::notices(&connection);
    let mut request = v1::ListNoticesRequest {
        incident_id: "INC-1".to_owned(),
        page_size: 1,
        ..v1::ListNoticesRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = requested(api.list_notices(request.clone()).await).unwrap();
        found.extend(page.notices.into_iter().map(|notice| notice.id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    found.sort();
    let mut expected = [held.to_string(), sent.to_string()];
    expected.sort();
    assert_eq!(found, expected);

    let id = sent.to_string();
    let notice = requested(api.get_notice(v1::GetNoticeRequest { id }).await).unwrap();
    assert_eq!(
        (notice.state.as_str(), notice.text.as_str()),
        ("sent", "Dear A2")
    );
    let id = sent.to_string();
    let redriven = api.redrive_notice(v1::RedriveNoticeRequest { id }).await;
    assert_eq!(requested(redriven).unwrap_err(), Code::FailedPrecondition);
    let wrong = v1::ListNoticesRequest {
        stage: "last".to_owned(),
        ..v1::ListNoticesRequest::default()
    };
    let status = api.list_notices(wrong).await.unwrap_err();
    assert_eq!(fields(&status), ["stage"]);
    world.stop().await;
}
