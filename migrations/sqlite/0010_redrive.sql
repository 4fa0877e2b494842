-- How many tries a notice had had when it was last put back into the queue: since then its tries are
-- counted anew, while `attempt` goes on, since it names the claim.
ALTER TABLE notice ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;
