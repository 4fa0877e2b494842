-- When each episode of an incident began: a recurrence is an episode of its own, and the effect is
-- counted from the onset of the episode in which people were assigned.
CREATE TABLE incident_episode (
    incident_no BIGINT NOT NULL,
    episode     BIGINT NOT NULL,
    onset_ms    BIGINT NOT NULL,
    PRIMARY KEY (incident_no, episode)
);
INSERT INTO incident_episode (incident_no, episode, onset_ms)
SELECT incident_no, CAST(CAST(body AS JSON) ->> 'reopened' AS BIGINT), onset_ms FROM incident;
