// A real agent: the same binary, as it runs in a closed network.
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HERE, type Place } from './network';
import { BINARY } from './posthorn';

export class Agent {
  readonly tokenFile: string;
  private child: ChildProcess | undefined;
  private out = '';
  private err = '';

  /** Where it runs, and what more it is told. */
  constructor(
    private readonly url: string,
    readonly name: string,
    private readonly allow: string,
    private readonly place: Place = HERE,
    public options: string[] = [],
  ) {
    this.tokenFile = join(mkdtempSync(join(tmpdir(), 'posthorn-agent-')), 'token');
  }

  /** Starts it, with a code if it is to be enrolled; answers with the fingerprint that it says. */
  async start(code?: string): Promise<string> {
    const enroll = code === undefined ? [] : ['--enroll', code];
    const command = this.place.enter(BINARY, ['connector', '--server', this.url, '--token-file', this.tokenFile, '--allow', this.allow,
      '--name', this.name, ...this.options, ...enroll]);
    const child = spawn(...command, { stdio: ['ignore', 'pipe', 'pipe'] });
    [this.child, this.out, this.err] = [child, '', ''];
    child.stdout.on('data', (text) => (this.out += text));
    child.stderr.on('data', (text) => (this.err += text));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the agent ended with ${code}: ${this.err}`)));
      child.stdout.on('data', () => {
        const fingerprint = /fingerprint (SHA256:\S+)\n/.exec(this.out)?.[1];
        if (fingerprint !== undefined) resolve(fingerprint);
      });
    });
  }

  /** What its log says. */
  log(): string {
    return this.err;
  }

  /** Ends it at once, as a power cut does. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Ends it by a signal, and answers with its exit status. */
  async stop(): Promise<number | null> {
    const status = await this.end('SIGTERM');
    rmSync(join(this.tokenFile, '..'), { recursive: true, force: true });
    return status;
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    child.kill(signal);
    return ended;
  }
}
