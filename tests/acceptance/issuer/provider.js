// An OpenID Connect provider on loopback, over HTTPS: clients get access tokens for themselves, as JWTs.
//
// Arguments: the files of certificate and private key. Prints its URL as the first line; each line on standard input
// rotates its keys and is answered with a line. Ends with its standard input.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

// The roles of each client; its secret is its id.
const ROLES = {
  admin: ['Muster.Admin'],
  reader: ['Muster.Reader', 'Other.Role'],
  helper: ['Muster.Reader', 'Muster.Helper'],
  nobody: ['Other.Role'],
};

const ALGORITHMS = [
  ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
];

const [certificate, key] = process.argv.slice(2).map((file) => readFileSync(file));
let rotations = 0;
let answer = null;

function rotate(issuer) {
  const [alg, generate] = ALGORITHMS[rotations % ALGORITHMS.length];
  const jwk = generate().privateKey.export({ format: 'jwk' });
  rotations += 1;
  const provider = new Provider(issuer, {
    clients: Object.keys(ROLES).map((id) => ({
      client_id: id,
      client_secret: id,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: alg,
    })),
    extraTokenClaims: (_, token) => ({
      roles: ROLES[token.clientId],
      preferred_username: `${token.clientId}@example.test`,
    }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, audience) => ({
          scope: 'api',
          audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg } },
        }),
      },
    },
    jwks: { keys: [{ ...jwk, kid: `key-${rotations}`, alg, use: 'sig' }] },
  });
  answer = provider.callback();
}

const server = createServer({ cert: certificate, key }, (request, response) => answer(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  rotate(issuer);
  process.stdout.write(`${issuer}\n`);
  createInterface({ input: process.stdin })
    .on('line', () => {
      rotate(issuer);
      process.stdout.write('rotated\n');
    })
    .on('close', () => process.exit(0));
});
