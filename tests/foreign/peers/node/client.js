// Calls the service test.v1.Echo by grpc-js, with a stock retry policy.
//
// It makes many calls at once, some times without a quota and then under one, and prints the code of each of
// the last. Or, without a retry policy, it calls on for a time.
'use strict';

const { parseArgs } = require('util');
const grpc = require('@grpc/grpc-js');

const POLICY = {
  methodConfig: [
    {
      name: [{ service: 'test.v1.Echo' }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: '0.1s',
        maxBackoff: '1s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE', 'RESOURCE_EXHAUSTED'],
      },
    },
  ],
};

// Ids of calls without a quota are above this.
const WARM = 1_000_000;

const { values: options } = parseArgs({
  options: {
    port: { type: 'string' },
    'warm-up': { type: 'string' },
    calls: { type: 'string' },
    millis: { type: 'string' },
  },
});
const policy = options.millis ? {} : { 'grpc.service_config': JSON.stringify(POLICY) };
const address = `127.0.0.1:${options.port}`;
const client = new grpc.Client(address, grpc.credentials.createInsecure(), policy);

// Messages stay as they are, so that no generated code is needed.
function call(method, id) {
  const same = (bytes) => bytes;
  const metadata = new grpc.Metadata();
  metadata.set('x-call-id', String(id));
  const settings = { deadline: Date.now() + 30_000 };
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      `/test.v1.Echo/${method}`,
      same,
      same,
      Buffer.alloc(0),
      metadata,
      settings,
      (error) => resolve(error ? error.code : 0),
    );
  });
}

async function callOn(first, step, until) {
  for (let id = first; Date.now() < until; id += step) {
    const code = await call('Unary', id);
    console.log(`ended with ${code}`);
    if (code !== 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function main() {
  const calls = Number(options.calls);
  if (options.millis) {
    const until = Date.now() + Number(options.millis);
    await Promise.all(Array.from({ length: calls }, (_, i) => callOn(1 + i, calls, until)));
    client.close();
    return;
  }
  const atOnce = (method, first) =>
    Promise.all(Array.from({ length: calls }, (_, i) => call(method, first + i)));
  for (let i = 0; i < Number(options['warm-up']); i++) {
    const codes = await atOnce('UnaryIdempotent', WARM + i * calls);
    if (codes.some((code) => code !== 0)) {
      throw new Error(`a call without a quota failed: ${codes}`);
    }
  }
  for (const code of await atOnce('Unary', 1)) {
    console.log(`ended with ${code}`);
  }
  client.close();
}

main();
