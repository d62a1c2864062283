-- What all keys of an organization together may do, read together with each of its keys; and the most that keys may get which it
-- issues itself, null for everything.
ALTER TABLE organizations ADD COLUMN limits TEXT NOT NULL DEFAULT '{}' CHECK (json_type(limits) = 'object');
ALTER TABLE organizations ADD COLUMN ceiling TEXT CHECK (ceiling IS NULL OR json_type(ceiling) = 'object');
