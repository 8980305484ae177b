-- Callers that are known by their TLS certificate instead of a key: a name in it, as `uri:…` or `dns:…`. The release before
-- knows nothing of it and goes on working with the others.

ALTER TABLE callers ADD COLUMN certificate_name TEXT;
CREATE UNIQUE INDEX callers_by_certificate ON callers (certificate_name);
