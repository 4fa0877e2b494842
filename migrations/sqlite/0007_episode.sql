-- When each episode of an incident began: a recurrence is an episode of its own, and the effect is
-- counted from the onset of the episode in which people were assigned.
CREATE TABLE incident_episode (
    incident_no INTEGER NOT NULL,
    episode     INTEGER NOT NULL,
    onset_ms    INTEGER NOT NULL,
    PRIMARY KEY (incident_no, episode)
) STRICT, WITHOUT ROWID;
INSERT INTO incident_episode (incident_no, episode, onset_ms)
SELECT incident_no, CAST(json_extract(body, '$.reopened') AS INTEGER), onset_ms FROM incident;
