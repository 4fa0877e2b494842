-- Which version of an imported dataset is current. Rows of other versions are being built or swept.
CREATE TABLE dataset (
    kind           TEXT    NOT NULL PRIMARY KEY CHECK (kind IN ('topology', 'subscribers')),
    version        INTEGER NOT NULL,
    last_version   INTEGER NOT NULL,
    imported_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE site (
    version   INTEGER NOT NULL,
    site_no   INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    latitude  REAL,
    longitude REAL,
    PRIMARY KEY (version, site_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE element (
    version    INTEGER NOT NULL,
    element_no INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    site       TEXT,
    gateway    INTEGER NOT NULL,
    transit    INTEGER,
    redundancy TEXT    CHECK (redundancy IN ('any', 'all')),
    PRIMARY KEY (version, element_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE link (
    version INTEGER NOT NULL,
    link_no INTEGER NOT NULL,
    id      TEXT    NOT NULL,
    a       TEXT    NOT NULL,
    b       TEXT    NOT NULL,
    transit INTEGER,
    PRIMARY KEY (version, link_no)
) STRICT, WITHOUT ROWID;

-- `members` is a JSON array of element and link ids.
CREATE TABLE risk_group (
    version  INTEGER NOT NULL,
    group_no INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    members  TEXT    NOT NULL,
    PRIMARY KEY (version, group_no)
) STRICT, WITHOUT ROWID;

-- `channels` and `served_by` are JSON arrays; `quiet_hours` is "22:00-07:00" or empty.
CREATE TABLE subscriber (
    version       INTEGER NOT NULL,
    subscriber_no INTEGER NOT NULL,
    account       TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    language      TEXT    NOT NULL,
    time_zone     TEXT    NOT NULL,
    segment       TEXT    NOT NULL CHECK (segment IN ('residential', 'business')),
    vulnerable    INTEGER NOT NULL,
    channels      TEXT    NOT NULL,
    quiet_hours   TEXT    NOT NULL,
    consent       INTEGER NOT NULL,
    address       TEXT    NOT NULL,
    address_key   TEXT    NOT NULL,
    latitude      REAL,
    longitude     REAL,
    served_by     TEXT    NOT NULL,
    redundancy    TEXT    NOT NULL CHECK (redundancy IN ('any', 'all')),
    cpe_serial    TEXT    NOT NULL,
    PRIMARY KEY (version, subscriber_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriber_account ON subscriber (account, version);
CREATE INDEX subscriber_address ON subscriber (address_key, version);
CREATE INDEX subscriber_position ON subscriber (version, latitude, longitude) WHERE latitude IS NOT NULL;
CREATE INDEX subscriber_cpe ON subscriber (cpe_serial, version) WHERE cpe_serial <> '';

CREATE TABLE contact_point (
    version       INTEGER NOT NULL,
    subscriber_no INTEGER NOT NULL,
    contact_no    INTEGER NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('email', 'phone', 'push', 'webhook')),
    value         TEXT    NOT NULL,
    value_key     TEXT    NOT NULL,
    PRIMARY KEY (version, subscriber_no, contact_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_point_value ON contact_point (value_key, kind, version);

-- Who sends; `stream` tells the two sequences of a source apart. A `returned` source is heard again
-- but has not yet listed what is active.
CREATE TABLE source (
    source_id            INTEGER NOT NULL PRIMARY KEY,
    stream               TEXT    NOT NULL CHECK (stream IN ('alarm', 'telemetry')),
    name                 TEXT    NOT NULL,
    heartbeat_interval_s INTEGER NOT NULL,
    last_sequence        INTEGER NOT NULL,
    last_heard_ms        INTEGER NOT NULL,
    health               TEXT    NOT NULL CHECK (health IN ('current', 'silent', 'returned')),
    UNIQUE (stream, name)
) STRICT;

-- The durable alarm log, read in order by the correlator. `detail` is JSON.
CREATE TABLE alarm_log (
    position       INTEGER NOT NULL PRIMARY KEY,
    source_id      INTEGER NOT NULL,
    sequence       INTEGER NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind IN ('raise', 'change', 'clear', 'snapshot_begin', 'snapshot_end', 'stale', 'heard')),
    resource       TEXT    NOT NULL,
    alarm_type     TEXT    NOT NULL,
    qualifier      TEXT    NOT NULL,
    severity       TEXT    NOT NULL,
    event_at_ms    INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    detail         TEXT    NOT NULL
) STRICT;

CREATE TABLE telemetry_sample (
    position       INTEGER NOT NULL PRIMARY KEY,
    source_id      INTEGER NOT NULL,
    resource       TEXT    NOT NULL,
    metric         TEXT    NOT NULL,
    value          REAL    NOT NULL,
    sampled_at_ms  INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL
) STRICT;

-- How far the correlator has decided, and a copy of its live alarms as of an earlier position.
CREATE TABLE correlator_checkpoint (
    singleton         INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    position          INTEGER NOT NULL,
    last_incident_no  INTEGER NOT NULL,
    snapshot_position INTEGER NOT NULL,
    snapshot          BLOB    NOT NULL
) STRICT;

-- `body` is the whole incident as JSON; the columns beside it are for searching.
CREATE TABLE incident (
    incident_no INTEGER NOT NULL PRIMARY KEY,
    state       TEXT    NOT NULL CHECK (state IN ('suspected', 'confirmed', 'restored', 'rejected')),
    open        INTEGER NOT NULL,
    onset_ms    INTEGER NOT NULL,
    restored_ms INTEGER,
    revision    INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;
CREATE INDEX incident_open ON incident (incident_no) WHERE open;

CREATE TABLE incident_event (
    incident_no INTEGER NOT NULL,
    event_no    INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    what        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    by_whom     TEXT    NOT NULL,
    PRIMARY KEY (incident_no, event_no)
) STRICT, WITHOUT ROWID;

-- Which arm of the experiment a cluster of an incident is in; written before anything is sent.
CREATE TABLE holdout_assignment (
    incident_no    INTEGER NOT NULL,
    cluster        TEXT    NOT NULL,
    experiment     TEXT    NOT NULL,
    arm            TEXT    NOT NULL CHECK (arm IN ('told', 'held_out')),
    assigned_at_ms INTEGER NOT NULL,
    PRIMARY KEY (incident_no, cluster)
) STRICT, WITHOUT ROWID;

-- One row per decision about one person and one stage; the pending ones are the outbox.
-- `episode` counts reopenings and `stage_no` the repeatable stages, so that the unique key holds
-- "once" for each. `covered_by` is the other incident that told this person; `facts` is JSON.
CREATE TABLE notice (
    notice_id        BLOB    NOT NULL PRIMARY KEY,
    incident_no      INTEGER NOT NULL,
    account          TEXT    NOT NULL,
    episode          INTEGER NOT NULL,
    stage            TEXT    NOT NULL CHECK (stage IN ('first', 'update', 'estimate', 'restored', 'retraction')),
    stage_no         INTEGER NOT NULL,
    channel          TEXT    NOT NULL,
    decision         TEXT    NOT NULL,
    covered_by       INTEGER,
    cluster          TEXT    NOT NULL,
    arm              TEXT    NOT NULL CHECK (arm IN ('told', 'held_out', 'not_assigned')),
    segment          TEXT    NOT NULL,
    vulnerable       INTEGER NOT NULL,
    language         TEXT    NOT NULL,
    priority         INTEGER NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('not_sent', 'pending', 'sent', 'delivered', 'bounced', 'dead', 'cancelled')),
    state_reason     TEXT    NOT NULL,
    planned_at_ms    INTEGER NOT NULL,
    available_at_ms  INTEGER NOT NULL,
    useless_after_ms INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    sent_at_ms       INTEGER,
    facts            TEXT    NOT NULL,
    template_version TEXT    NOT NULL,
    subject          TEXT    NOT NULL,
    body             TEXT    NOT NULL,
    UNIQUE (incident_no, account, episode, stage, stage_no)
) STRICT;
CREATE INDEX notice_due ON notice (priority, available_at_ms) WHERE state = 'pending';
CREATE INDEX notice_account ON notice (account, planned_at_ms);
CREATE INDEX notice_incident ON notice (incident_no, planned_at_ms);
CREATE INDEX notice_planned ON notice (planned_at_ms, notice_id);

CREATE TABLE notice_attempt (
    notice_id BLOB    NOT NULL,
    attempt   INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    outcome   TEXT    NOT NULL CHECK (outcome IN ('sent', 'retry', 'failed')),
    detail    TEXT    NOT NULL,
    PRIMARY KEY (notice_id, attempt)
) STRICT, WITHOUT ROWID;

-- People who asked not to be told (unsubscribe link).
CREATE TABLE opt_out (
    account TEXT    NOT NULL PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    via     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Addresses that a mail server has permanently refused. The key is the contact key.
CREATE TABLE suppression (
    address_key TEXT    NOT NULL PRIMARY KEY,
    at_ms       INTEGER NOT NULL,
    reason      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE complaint (
    complaint_no INTEGER NOT NULL PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    account      TEXT    NOT NULL,
    contact      TEXT    NOT NULL,
    latitude     REAL,
    longitude    REAL,
    at_ms        INTEGER NOT NULL,
    channel      TEXT    NOT NULL CHECK (channel IN ('call', 'ticket', 'chat', 'mail', 'social')),
    category     TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    incident_no  INTEGER,
    matched_by   TEXT    NOT NULL
) STRICT;
CREATE INDEX complaint_incident ON complaint (incident_no, at_ms);
CREATE INDEX complaint_account ON complaint (account, at_ms);
CREATE INDEX complaint_at ON complaint (at_ms, complaint_no);

-- Bearer tokens, as SHA-256 of the secret.
CREATE TABLE token (
    token_hash    BLOB    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    role          TEXT    NOT NULL CHECK (role IN ('ingest', 'care', 'operator', 'admin')),
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER
) STRICT;

-- Keys made at first start: signing of links, holdout assignment.
CREATE TABLE server_secret (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
