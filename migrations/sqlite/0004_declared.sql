-- What operators declare without an alarm: faults (incidents opened by hand) and planned work. The body
-- is the whole statement as JSON; the columns beside it only serve to find it. `change_no` rises with
-- every change of any of them.
CREATE TABLE declaration (
    kind           TEXT    NOT NULL CHECK (kind IN ('fault', 'work')),
    declaration_no INTEGER NOT NULL,
    change_no      INTEGER NOT NULL UNIQUE,
    ended          INTEGER NOT NULL,
    until_ms       INTEGER,
    body           TEXT    NOT NULL,
    PRIMARY KEY (kind, declaration_no)
) STRICT;
CREATE INDEX declaration_open ON declaration (kind, declaration_no) WHERE NOT ended;

-- Ids that callers chose, so that a call that is repeated declares nothing twice.
CREATE TABLE declaration_request (
    caller         TEXT    NOT NULL,
    request_id     TEXT    NOT NULL,
    kind           TEXT    NOT NULL,
    declaration_no INTEGER NOT NULL,
    PRIMARY KEY (caller, request_id)
) STRICT, WITHOUT ROWID;

-- Which incidents stand, or stood, for what was declared; `declared` is AREA-7, FAULT-1 or WORK-3.
CREATE TABLE declared_incident (
    declared    TEXT    NOT NULL,
    incident_no INTEGER NOT NULL,
    PRIMARY KEY (declared, incident_no)
) STRICT, WITHOUT ROWID;

-- Up to which change of areas and of other declarations the correlator has decided.
ALTER TABLE correlator_checkpoint ADD COLUMN area_change_no INTEGER NOT NULL DEFAULT 0;
ALTER TABLE correlator_checkpoint ADD COLUMN declaration_change_no INTEGER NOT NULL DEFAULT 0;
