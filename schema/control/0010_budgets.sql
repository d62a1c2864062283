-- Budgets, and what each process has spent of them. Money is whole nano-dollars, times are milliseconds since
-- 1970-01-01T00:00:00Z.

CREATE TABLE budgets (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (id LIKE 'bud\_%' ESCAPE '\' AND length(id) <= 64),
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    -- whose spending it bounds: the organization's (subject is empty), a key's (its id), a tag's (name=value)
    subject_kind    TEXT    NOT NULL CHECK (subject_kind IN ('organization', 'key', 'tag')),
    subject         TEXT    NOT NULL CHECK (length(subject) <= 400),
    time_window     TEXT    NOT NULL CHECK (time_window IN ('day', 'month', 'total')),
    limit_nanousd   INTEGER NOT NULL CHECK (limit_nanousd >= 0),
    enforcement     TEXT    NOT NULL CHECK (enforcement IN ('on', 'off')),
    UNIQUE (organization_id, subject_kind, subject, time_window)
) STRICT;

-- The whole of what one process has spent of a budget in one window, and holds; replaced, never added to, so that storing it
-- twice changes nothing. What all processes together have spent is the sum over their rows.
CREATE TABLE budget_uses (
    budget_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    instance        TEXT    NOT NULL,
    spent_nanousd   INTEGER NOT NULL,
    held_nanousd    INTEGER NOT NULL CHECK (held_nanousd >= 0),
    seen_at         INTEGER NOT NULL,
    PRIMARY KEY (budget_id, window_start, instance)
) STRICT, WITHOUT ROWID;

CREATE INDEX budget_uses_by_time ON budget_uses (seen_at);

-- Shares of a limit that were reached, each noted once for its window, and what became of telling them. due_at is null when there
-- is nothing more to send.
CREATE TABLE budget_alerts (
    budget_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    share           INTEGER NOT NULL,
    organization_id TEXT    NOT NULL,
    noted_at        INTEGER NOT NULL,
    document        TEXT    NOT NULL CHECK (json_valid(document)),
    tries           INTEGER NOT NULL DEFAULT 0,
    due_at          INTEGER,
    PRIMARY KEY (budget_id, window_start, share)
) STRICT, WITHOUT ROWID;

CREATE INDEX budget_alerts_due ON budget_alerts (due_at) WHERE due_at IS NOT NULL;

-- Numbers that change with what they are named after, so that a process that looks often reads little.
CREATE TABLE revisions (
    name     TEXT    NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO revisions (name, revision) VALUES ('budgets', 0);
