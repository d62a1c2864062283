-- What all keys of an organization together may do; read together with each of its keys.
ALTER TABLE organizations ADD COLUMN limits TEXT NOT NULL DEFAULT '{}' CHECK (json_type(limits) = 'object');
