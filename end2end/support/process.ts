// Starting programs and waiting for what they say, never for the clock.
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

export interface Started {
  process: ChildProcess;
  /** Everything on standard output so far. */
  said(): string;
  /** Everything on standard error so far. */
  logged(): string;
  stop(): Promise<void>;
}

/** Starts a program and waits until its standard output matches. */
export function start(program: string, args: string[], env: NodeJS.ProcessEnv, ready: RegExp): Promise<Started> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    child.stdout.on('data', (text) => {
      out += text;
      if (ready.test(out)) resolve({ process: child, said: () => out, logged: () => err, stop: async () => { child.kill('SIGTERM'); await ended; } });
    });
    child.stderr.on('data', (text) => (err += text));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${err}`)));
  });
}

/** Runs a program to its end and answers with its standard output. */
export function run(program: string, args: string[], input = '', env: NodeJS.ProcessEnv = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env } });
    let out = '';
    let err = '';
    child.stdout.on('data', (text) => (out += text));
    child.stderr.on('data', (text) => (err += text));
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve(out) : reject(new Error(`${program}: ${code}: ${err}`))));
    // A program that reads no input may have ended by now.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
