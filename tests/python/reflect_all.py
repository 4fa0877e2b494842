"""Calls every method of every service of a running Forewarn, knowing nothing but its reflection.

Usage: reflect_all.py ADDRESS TOKEN [SERVICE ...]

Prints one JSON object per call: {"method": ..., "code": ..., "answers": ...}. Exits with 1 when a
method answers with a code that its request does not allow, when a service is missing, or when a
method exists for which no request is known here.
"""

import json
import sys
import time

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

PACKAGE = "forewarn.v1."
NOW_MS = int(time.time() * 1000)
TIMEOUT_S = 20
# A watch does not end by itself.
WATCH_S = 2

OK = {"OK"}
# What is asked for may not be there in the server that is tested.
IF_THERE = {"OK", "NOT_FOUND"}
IF_ALLOWED = {"OK", "NOT_FOUND", "FAILED_PRECONDITION"}

NETWORK = [
    {"element": {"id": "py-bng", "kind": "bng", "name": "BNG", "gateway": True}},
    {"element": {"id": "py-olt", "kind": "olt", "name": "OLT"}},
    {"element": {"id": "py-ont", "kind": "ont", "name": "ONT"}},
    {"link": {"id": "py-bng--py-olt", "a": "py-bng", "b": "py-olt"}},
    {"link": {"id": "py-olt--py-ont", "a": "py-olt", "b": "py-ont"}},
]
SUBSCRIBER = {
    "account": "PY-1",
    "name": "Test Person",
    "language": "en",
    "timeZone": "Europe/Rome",
    "segment": "residential",
    "contactPoints": [{"kind": "email", "value": "py-1@example.net"}],
    "channels": ["email"],
    "consent": True,
    "address": "1 Example Road",
    "servedBy": ["py-ont"],
    "cpeSerial": "PYCPE1",
}
ALARM = {
    "kind": "ALARM_EVENT_KIND_RAISE",
    "resource": "py-olt",
    "alarmType": "unreachable",
    "severity": "SEVERITY_CRITICAL",
    "eventTimeMs": NOW_MS,
}
COMPLAINT = {
    "id": f"py-{NOW_MS}",
    "account": "PY-1",
    "atMs": NOW_MS,
    "channel": "call",
    "category": "no_service",
}
AREA = {
    "disc": {"centre": {"latitude": 41.9, "longitude": 12.5}, "radiusM": 500},
    "affects": "information",
    "name": "By reflection",
}
NOTICE = "00000000-0000-0000-0000-000000000000"

# In an order that makes sense: the network, its people, what happens to them, what is said of it.
CALLS = [
    ("InventoryService/ImportTopology", [{"records": NETWORK}], OK),
    ("InventoryService/ImportSubscribers", [{"subscribers": [SUBSCRIBER]}], OK),
    ("InventoryService/GetInventory", {}, OK),
    (
        "AlarmService/StreamAlarms",
        [{"hello": {"source": "reflection"}}, {"sequence": 1, "event": ALARM}],
        OK,
    ),
    (
        "TelemetryService/StreamSamples",
        [
            {"hello": {"source": "reflection"}},
            {
                "sequence": 1,
                "sample": {
                    "resource": "py-olt",
                    "metric": "sessions",
                    "value": 1.0,
                    "sampledAtMs": NOW_MS,
                },
            },
        ],
        OK,
    ),
    ("AlarmService/ListAlarms", {}, OK),
    ("AlarmService/ListSources", {}, OK),
    ("IncidentService/ListIncidents", {}, OK),
    ("IncidentService/GetIncident", {"id": "INC-1"}, IF_THERE),
    ("IncidentService/WatchIncidents", {}, OK | {"DEADLINE_EXCEEDED"}),
    ("IncidentService/ListAffected", {"incidentId": "INC-1"}, IF_THERE),
    # The watch has given the service the time to take the network over.
    (
        "IncidentService/OpenIncident",
        {
            "resources": ["py-olt"],
            "kind": "equipment",
            "text": "by reflection",
            "requestId": "reflection",
        },
        OK,
    ),
    ("IncidentService/ConfirmIncident", {"id": "INC-1", "note": "seen"}, IF_ALLOWED),
    (
        "IncidentService/SetCause",
        {"id": "INC-1", "kind": "equipment", "text": "card", "resources": ["py-olt"]},
        IF_ALLOWED | {"INVALID_ARGUMENT"},
    ),
    ("IncidentService/WithdrawCause", {"id": "INC-1", "reason": "not so"}, IF_ALLOWED),
    (
        "IncidentService/MergeIncidents",
        {"id": "INC-1", "into": "INC-2", "reason": "one cut"},
        IF_ALLOWED | {"INVALID_ARGUMENT"},
    ),
    (
        "IncidentService/SplitIncident",
        {"id": "INC-1", "resources": ["py-olt"], "reason": "two cuts"},
        IF_ALLOWED | {"INVALID_ARGUMENT"},
    ),
    (
        "IncidentService/SetEstimate",
        {"id": "INC-1", "fromMs": NOW_MS + 3_600_000, "toMs": NOW_MS + 3_700_000},
        IF_ALLOWED,
    ),
    ("IncidentService/AddNote", {"id": "INC-1", "text": "by reflection"}, IF_ALLOWED),
    ("ComplaintService/StreamComplaints", [{"complaint": COMPLAINT}], OK),
    ("ComplaintService/ListComplaints", {}, OK),
    ("CareService/Lookup", {"query": "PY-1"}, OK),
    ("NoticeService/ListNotices", {}, OK),
    ("NoticeService/GetNotice", {"id": NOTICE}, IF_THERE),
    ("NoticeService/RedriveNotice", {"id": NOTICE}, IF_ALLOWED),
    ("EffectService/Report", {}, OK),
    ("AreaService/PreviewArea", {"area": AREA}, OK),
    ("AreaService/DeclareArea", {"area": AREA, "requestId": "reflection"}, OK),
    ("AreaService/ListAreas", {}, OK),
    ("AreaService/GetArea", {"id": "AREA-1"}, IF_THERE),
    ("AreaService/EndArea", {"id": "AREA-1", "reason": "done"}, IF_THERE),
    (
        "WorkService/DeclareWork",
        {
            "title": "By reflection",
            "resources": ["py-olt"],
            "fromMs": NOW_MS + 3_600_000,
            "toMs": NOW_MS + 7_200_000,
            "requestId": "reflection",
        },
        OK,
    ),
    ("WorkService/ListWork", {}, OK),
    ("WorkService/CancelWork", {"id": "WORK-1", "reason": "done"}, IF_THERE),
    ("IncidentService/ResolveIncident", {"id": "INC-1", "reason": "done"}, IF_ALLOWED),
    ("IncidentService/RejectIncident", {"id": "INC-1", "reason": "none"}, IF_ALLOWED),
]

# Refusals with more to say than the trailers of a call take.
REFUSED = [
    (
        "InventoryService/ImportTopology",
        [{"records": [{"element": {"id": f"py-{i}", "kind": "toaster"}} for i in range(150)]}],
    ),
]


def call(channel, pool, method, request, metadata):
    """The status code of a call and its answers as dictionaries."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    request_class = message_factory.GetMessageClass(method.input_type)
    answer_class = message_factory.GetMessageClass(method.output_type)
    make = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming]
    stub = make(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer_class.FromString,
    )

    def read(fields):
        return json_format.ParseDict(fields, request_class(), descriptor_pool=pool)

    argument = iter([read(one) for one in request]) if method.client_streaming else read(request)
    timeout = WATCH_S if method.name.startswith("Watch") else TIMEOUT_S
    answers = []
    try:
        answer = stub(argument, timeout=timeout, metadata=metadata)
        if method.server_streaming:
            for one in answer:
                answers.append(json_format.MessageToDict(one, descriptor_pool=pool))
        else:
            answers.append(json_format.MessageToDict(answer, descriptor_pool=pool))
    except grpc.RpcError as error:
        return error.code().name, answers, error.details()
    return "OK", answers, ""


def main():
    address, token, *services = sys.argv[1:]
    metadata = [("authorization", f"Bearer {token}")]
    channel = grpc.insecure_channel(address)
    grpc.channel_ready_future(channel).result(timeout=TIMEOUT_S)
    # The reflection client has no place for metadata, and each call here needs the token.
    reflected = grpc.intercept_channel(channel, WithToken(metadata))
    database = ProtoReflectionDescriptorDatabase(reflected)
    pool = descriptor_pool.DescriptorPool(database)
    found = {name for name in database.get_services() if name.startswith(PACKAGE)}
    wanted = {PACKAGE + name for name in services} or found
    problems = [f"{name} is not reflected" for name in sorted(wanted - found)]
    methods = {}
    for name in sorted(wanted & found):
        for method in pool.FindServiceByName(name).methods:
            methods[f"{name.removeprefix(PACKAGE)}/{method.name}"] = method
    for name, request in REFUSED:
        if name not in methods:
            continue
        code, answers, details = call(channel, pool, methods[name], request, metadata)
        print(json.dumps({"method": name, "code": code, "details": details}), flush=True)
        if code != "INVALID_ARGUMENT":
            problems.append(f"{name}: {code} {details}")
    for name, request, allowed in CALLS:
        method = methods.pop(name, None)
        if method is None:
            continue
        code, answers, details = call(channel, pool, method, request, metadata)
        print(json.dumps({"method": name, "code": code, "answers": answers}), flush=True)
        if code not in allowed:
            problems.append(f"{name}: {code} {details}")
    problems += [f"{name} is not called" for name in sorted(methods)]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


class WithToken(grpc.StreamStreamClientInterceptor):
    """Adds the token to the calls of the reflection client."""

    def __init__(self, metadata):
        self.metadata = metadata

    def intercept_stream_stream(self, continuation, details, requests):
        details = details._replace(metadata=self.metadata)
        return continuation(details, requests)


if __name__ == "__main__":
    main()
