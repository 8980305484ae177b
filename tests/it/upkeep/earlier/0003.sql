-- What the release with migration 3 wrote, with the columns it knew.
INSERT INTO callers (id, name, key_hash, permissions, created_at, rotated_at, certificate_name)
    VALUES (@uuid(01890000-0000-7000-8000-00000000d002), 'third', @bytes(05), 'check', '2029-04-01T00:00:00+00:00', NULL, 'uri:spiffe://example/third');
