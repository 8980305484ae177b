-- What the release with migration 1 wrote, with the columns it knew.
INSERT INTO accounts (id, phone, email, first_name, last_name, roles, state, created_at, last_login_at)
    VALUES (@uuid(01890000-0000-7000-8000-00000000a001), '+989121000001', NULL, 'Ada', 'First', 'admin editor', 'active', '2029-01-01T00:00:00+00:00', '2029-06-01T00:00:00.123456+00:00');
INSERT INTO accounts (id, phone, email, state, created_at)
    VALUES (@uuid(01890000-0000-7000-8000-00000000a002), NULL, 'first@example.com', 'blocked', '2029-01-02T00:00:00+00:00');
INSERT INTO sessions (id, account_id, generation, rotated_at, client_id, amr, device_id, device_name, user_agent, ip, created_at, last_used_at, expires_at, absolute_expires_at, access_expires_at)
    VALUES (@uuid(01890000-0000-7000-8000-00000000b001), @uuid(01890000-0000-7000-8000-00000000a001), 3, '2029-06-01T00:00:00+00:00', 'app', 'otp sms', 'device', 'First', 'test/1', '192.0.2.1', '2029-06-01T00:00:00+00:00', '2029-06-01T00:00:00+00:00', '2099-01-01T00:00:00+00:00', '2099-01-01T00:00:00+00:00', '2029-06-01T00:05:00+00:00');
UPDATE sessions SET generation = generation + 1, rotated_at = '2029-06-02T00:00:00+00:00', rotated_by = @bytes(00ff) WHERE id = @uuid(01890000-0000-7000-8000-00000000b001) AND ended_at IS NULL;
INSERT INTO revocations (kind, target, revoked_at, expires_at, reason)
    VALUES ('token', @uuid(01890000-0000-7000-8000-00000000c001), '2029-06-01T00:00:00+00:00', '2099-01-01T00:00:00+00:00', 'logout');
INSERT INTO signing_keys (kid, algorithm, state, sealed_private, public_jwk, created_at, activated_at, retired_at, longest_token_seconds)
    VALUES ('first', 'ES256', 'retired', @bytes(00), '{}', '2029-01-01T00:00:00+00:00', '2029-01-01T00:00:00+00:00', '2029-02-01T00:00:00+00:00', 300);
INSERT INTO callers (id, name, key_hash, permissions, created_at)
    VALUES (@uuid(01890000-0000-7000-8000-00000000d001), 'first', @bytes(01), 'introspect revoke', '2029-01-01T00:00:00+00:00');
INSERT INTO events (id, at, kind, account_id, session_id, actor, ip, detail)
    VALUES (@uuid(01890000-0000-7000-8000-00000000e001), '2029-06-01T00:00:00+00:00', 'session.created', @uuid(01890000-0000-7000-8000-00000000a001), @uuid(01890000-0000-7000-8000-00000000b001), 'system', '192.0.2.1', '');
