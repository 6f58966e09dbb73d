// The service test.v1.Echo by grpc-js.
//
// It logs each call as its handler begins, and answers as the metadata `x-answer` asks.
'use strict';

const fs = require('fs');
const { parseArgs } = require('util');
const grpc = require('@grpc/grpc-js');

const DRAIN_MS = 2000;

const { values: options } = parseArgs({
  options: {
    port: { type: 'string' },
    log: { type: 'string' },
    age: { type: 'string', default: '0' },
    streams: { type: 'string', default: '0' },
    limit: { type: 'string', default: String(4 << 20) },
  },
});
const log = fs.openSync(options.log, 'a');

// In one write, so that no line is torn when the process is killed.
function begin(call) {
  fs.writeSync(log, `${call.metadata.get('x-call-id')} ${call.getPeer()}\n`);
}

// Does what `x-answer` asks; without it the request comes back.
function answer(call, request, callback) {
  const [what, value] = String(call.metadata.get('x-answer')).split(' ', 2);
  const retry = call.metadata.get('grpc-previous-rpc-attempts').length > 0;
  if (what === 'wait') {
    setTimeout(() => callback(null, request), Number(value));
  } else if (what === 'large') {
    callback(null, field(1, Buffer.alloc(Number(value), 'x')));
  } else if (what === 'retry-info' && !retry) {
    const metadata = new grpc.Metadata();
    metadata.set('grpc-status-details-bin', retryInfo(Number(value)));
    callback({ code: grpc.status.UNAVAILABLE, details: 'come back', metadata });
  } else if (what === 'pushback' && !retry) {
    const metadata = new grpc.Metadata();
    metadata.set('grpc-retry-pushback-ms', value);
    callback({ code: grpc.status.UNAVAILABLE, details: 'pushed back', metadata });
  } else {
    callback(null, request);
  }
}

// grpc-js leaves details to its users: google.rpc.Status with a google.rpc.RetryInfo.
function retryInfo(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const duration = Buffer.concat([number(1, seconds), number(2, (milliseconds % 1000) * 1e6)]);
  const type = 'type.googleapis.com/google.rpc.RetryInfo';
  const any = Buffer.concat([field(1, Buffer.from(type)), field(2, field(1, duration))]);
  const status = [number(1, grpc.status.UNAVAILABLE), field(2, Buffer.from('come back'))];
  return Buffer.concat([...status, field(3, any)]);
}

function field(number, bytes) {
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function number(field, value) {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) {
    bytes.push((value % 128) | 128);
  }
  return Buffer.from([...bytes, value]);
}

function unary(call, callback) {
  begin(call);
  answer(call, call.request, callback);
}

function clientStream(call, callback) {
  begin(call);
  const all = [];
  call.on('data', (request) => all.push(request));
  // Messages run together are one message.
  call.on('end', () => answer(call, Buffer.concat(all), callback));
  call.on('error', () => {});
}

// Messages stay as they are, so that no generated code is needed.
function method(name, requestStream) {
  const same = (bytes) => bytes;
  return {
    path: `/test.v1.Echo/${name}`,
    requestStream,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const settings = {
  'grpc.max_receive_message_length': Number(options.limit),
  'grpc.max_send_message_length': Number(options.limit),
};
if (Number(options.age) > 0) {
  settings['grpc.max_connection_age_ms'] = Number(options.age);
  settings['grpc.max_connection_age_grace_ms'] = DRAIN_MS;
}
if (Number(options.streams) > 0) {
  settings['grpc.max_concurrent_streams'] = Number(options.streams);
}
const server = new grpc.Server(settings);
server.addService(
  {
    Unary: method('Unary', false),
    UnaryIdempotent: method('UnaryIdempotent', false),
    ClientStream: method('ClientStream', true),
  },
  { Unary: unary, UnaryIdempotent: unary, ClientStream: clientStream },
);
server.bindAsync(
  `127.0.0.1:${options.port}`,
  grpc.ServerCredentials.createInsecure(),
  (error) => {
    if (error) {
      throw error;
    }
  },
);
process.on('SIGTERM', () => {
  setTimeout(() => process.exit(), DRAIN_MS);
  server.tryShutdown(() => process.exit());
});
