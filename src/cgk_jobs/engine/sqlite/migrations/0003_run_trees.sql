-- Which run called which.

ALTER TABLE runs ADD COLUMN parent_seq INTEGER;
CREATE INDEX runs_by_parent ON runs (parent_seq, seq) WHERE parent_seq IS NOT NULL;
