-- Organizations and their gateway keys. Times are milliseconds since 1970-01-01T00:00:00Z.

CREATE TABLE organizations (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id LIKE 'org\_%' ESCAPE '\' AND length(id) <= 64),
    name       TEXT    NOT NULL UNIQUE COLLATE NOCASE CHECK (length(name) BETWEEN 1 AND 100),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A key never changes but for revoked_at and last_used_at. Its rules and limits are always read together with it and
-- never searched, so they are JSON here and not tables of their own. The plaintext is nowhere.
CREATE TABLE keys (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (id LIKE 'key\_%' ESCAPE '\' AND length(id) <= 64),
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    hash            BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    key_prefix      TEXT    NOT NULL CHECK (length(key_prefix) BETWEEN 16 AND 19),
    environment     TEXT    NOT NULL CHECK (environment IN ('live', 'test')),
    name            TEXT    CHECK (length(name) BETWEEN 1 AND 100),
    scopes          TEXT    NOT NULL CHECK (json_type(scopes) = 'array'),
    entitlements    TEXT    NOT NULL CHECK (json_type(entitlements) = 'array'),
    limits          TEXT    NOT NULL CHECK (json_type(limits) = 'object'),
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER CHECK (expires_at > created_at),
    revoked_at      INTEGER,
    last_used_at    INTEGER
) STRICT;

CREATE INDEX keys_of_organization ON keys (organization_id, id);
