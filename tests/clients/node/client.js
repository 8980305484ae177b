// A service in Node beside a running Countersign: signs a person in, introspects, refreshes, watches, and reads errors.
//
// The address and an API key come from COUNTERSIGN_ADDRESS and COUNTERSIGN_API_KEY, the folder with the packages from
// COUNTERSIGN_TEST_NODE_MODULES; the code of the sign-in is asked for on standard output and read from standard input. What was
// seen is printed, a line for each.
'use strict';

const path = require('node:path');
const readline = require('node:readline');
const { createRequire } = require('node:module');

const packages = createRequire(path.join(process.env.COUNTERSIGN_TEST_NODE_MODULES, 'node_modules', 'here.js'));
const grpc = packages('@grpc/grpc-js');
const loader = packages('@grpc/proto-loader');

const root = path.resolve(__dirname, '../../..');
const definition = loader.loadSync(
  [
    'countersign/v1/auth.proto',
    'countersign/v1/token.proto',
    'countersign/v1/account.proto',
    'google/rpc/status.proto',
    'google/rpc/error_details.proto',
    'health.proto',
  ],
  { includeDirs: [path.join(root, 'proto'), path.join(root, 'tests/clients/proto')], keepCase: true, enums: String, oneofs: true },
);
const { countersign, grpc: standard } = grpc.loadPackageDefinition(definition);
const status = definition['google.rpc.Status'];
const errorInfo = definition['google.rpc.ErrorInfo'];

function bearer(credential) {
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${credential}`);
  return metadata;
}

function call(client, method, message, metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    client[method](message, metadata, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

// The reason of an error, as programs are to read it.
function reason(error) {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  const details = bytes ? status.deserialize(bytes).details : [];
  const info = details.find((detail) => detail.type_url === 'type.googleapis.com/google.rpc.ErrorInfo');
  const read = info && errorInfo.deserialize(info.value);
  return `${grpc.status[error.code]} ${read ? `${read.domain} ${read.reason}` : 'without a reason'}`;
}

async function refused(promise) {
  return promise.then(() => 'nothing is refused', reason);
}

function health(address) {
  const client = new standard.health.v1.Health(address, grpc.credentials.createInsecure());
  return new Promise((resolve, reject) => {
    const watch = client.Watch({ service: 'countersign.v1.TokenService' });
    watch.once('data', (answer) => {
      resolve(answer.status);
      watch.cancel();
    });
    // Cancelling is an error to the one who waits for the end.
    watch.on('error', reject);
  });
}

async function main() {
  const address = process.env.COUNTERSIGN_ADDRESS;
  const own = bearer(process.env.COUNTERSIGN_API_KEY);
  const of = (Service) => new Service(address, grpc.credentials.createInsecure());
  const [auth, tokens, accounts] = ['AuthService', 'TokenService', 'AccountService'].map((name) => of(countersign.v1[name]));
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

  console.log('health', await health(address));
  console.log('refused', await refused(call(auth, 'RequestOtp', { identifier: { phone: '12' } })));
  const { challenge } = await call(auth, 'RequestOtp', { identifier: { phone: '09121234568' } });
  console.log('challenge', challenge.challenge_id);
  const code = (await lines.next()).value.trim();
  let { tokens: pair } = await call(auth, 'Login', { otp: { challenge_id: challenge.challenge_id, code } });

  const asked = { token: pair.access_token };
  console.log('refused', await refused(call(tokens, 'Introspect', asked)));
  const answer = await call(tokens, 'Introspect', asked, own);
  console.log('introspected', answer.active, answer.sub);
  const profile = await call(accounts, 'GetProfile', {}, bearer(pair.access_token));
  console.log('profile', profile.account.account_id === answer.sub);
  ({ tokens: pair } = await call(tokens, 'Refresh', { refresh_token: pair.refresh_token }));
  const renewed = { token: pair.access_token };
  const { active, jti } = await call(tokens, 'Introspect', renewed, own);
  console.log('refreshed', active);

  const watching = tokens.WatchRevocations({}, own);
  const events = watching[Symbol.asyncIterator]();
  const next = async (wanted) => {
    for (;;) {
      const { value } = await events.next();
      if (wanted.includes(value.event)) return value;
    }
  };
  console.log('watching', (await next(['snapshot_begin', 'revocation', 'checkpoint'])).event);
  console.log('snapshot', (await next(['checkpoint'])).checkpoint.cursor !== '');
  await call(tokens, 'Revoke', renewed, own);
  console.log('revoked', !(await call(tokens, 'Introspect', renewed, own)).active);
  console.log('told', (await next(['revocation'])).revocation.token_id === jti);

  await call(auth, 'Logout', { refresh_token: pair.refresh_token });
  console.log('refused', await refused(call(tokens, 'Refresh', { refresh_token: pair.refresh_token })));
  console.log('done');
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
