-- What the gateway does where a caller's stream would report no usage: leave the request as it is, or ask on its behalf.
ALTER TABLE keys ADD COLUMN usage_mode TEXT NOT NULL DEFAULT 'transparent'
    CHECK (usage_mode IN ('transparent', 'inject'));
