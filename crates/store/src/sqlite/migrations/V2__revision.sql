-- Which signed files the platform showed last: a sweep notices by it that they were replaced.
ALTER TABLE envelopes ADD COLUMN revision TEXT;

-- What nears the end of the platform's retention is looked up by status and age.
CREATE INDEX envelopes_unarchived ON envelopes (account, status, coalesce(completed_at, first_seen_at))
    WHERE archived_at IS NULL AND settled = 1;

-- Whether a person settled a concern before, so that it is not opened again by what was heard before that.
CREATE INDEX tasks_key_settled ON tasks (key, resolved_at) WHERE resolved_at IS NOT NULL;
