-- Organizations that are switched off: none of their keys is taken. Null for those that are not.
ALTER TABLE organizations ADD COLUMN disabled_at INTEGER;

-- Everything that changed who may do what: rows are added, never changed, and hold no secret.
CREATE TABLE audit (
    -- a ULID in lower case: sorts by time
    id              TEXT    NOT NULL PRIMARY KEY,
    at              INTEGER NOT NULL,
    -- the command line and the user's number, or the id of the gateway key that asked
    who             TEXT    NOT NULL,
    what            TEXT    NOT NULL,
    organization_id TEXT    NOT NULL,
    -- the id of the organization, key or budget that was changed
    subject         TEXT    NOT NULL,
    -- as it was and as it is now, as far as it changed; null where there was or is nothing
    before          TEXT    CHECK (before IS NULL OR json_valid(before)),
    after           TEXT    CHECK (after IS NULL OR json_valid(after))
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_of_organization ON audit (organization_id, id);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
