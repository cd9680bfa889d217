// The server under test, on a database of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, run, start, type Started } from './process';

export const BINARY = process.env.POSTHORN_BINARY ?? join(process.cwd(), '../target/debug/posthorn');
export const PASSWORD = 'correct horse battery';

export class Posthorn {
  private constructor(
    /** Where it keeps everything. */
    readonly folder: string,
    private started: Started,
    readonly url: string,
    private readonly args: string[],
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  static async start(env: NodeJS.ProcessEnv = {}, options: string[] = []): Promise<Posthorn> {
    const folder = mkdtempSync(join(tmpdir(), 'posthorn-'));
    const named = options[options.indexOf('--listen') + 1];
    const port = options.includes('--listen') ? Number(named.split(':').at(-1)) : await freePort();
    const all = { POSTHORN_DATA: folder, POSTHORN_EGRESS_ALLOW: '127.0.0.0/8,::1/128', ...env };
    const args = ['serve', ...(options.includes('--listen') ? [] : ['--listen', `127.0.0.1:${port}`]), ...options];
    const started = await start(BINARY, args, all, /listening on/);
    return new Posthorn(folder, started, `http://127.0.0.1:${port}`, args, all);
  }

  /** What opens the set-up page. */
  get setUpCode(): string {
    return /set-up code: (\S+)/.exec(this.started.said())?.[1] ?? '';
  }

  /** Everything that it said and logged so far. */
  get log(): string {
    return this.started.said() + this.started.logged();
  }

  /** Adds a user by command line, while the server runs. */
  async addUser(name: string, role: string): Promise<void> {
    await run(BINARY, ['user', 'add', '--name', name, '--role', role], PASSWORD, this.env);
  }

  /** Runs another command on the same data. */
  command(args: string[]): Promise<string> {
    return run(BINARY, args, '', this.env);
  }

  /** A client of the REST interface as that user. */
  async client(user: string): Promise<Client> {
    const token = (await run(BINARY, ['token', 'create', '--user', user], '', this.env)).trim();
    return new Client(this.url, token);
  }

  /** Ends it at once, as a power cut does, and starts it again on what it has kept. */
  async crash(): Promise<void> {
    const ended = new Promise((done) => this.started.process.once('exit', done));
    this.started.process.kill('SIGKILL');
    await ended;
    this.started = await start(BINARY, this.args, this.env, /listening on/);
  }

  async stop(): Promise<void> {
    await this.started.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class Client {
  constructor(private readonly url: string, private readonly token: string) {}

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; json: any; text: string }> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, text, json: /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : undefined };
  }

  /** What Prometheus would read. */
  async metrics(): Promise<string> {
    return (await fetch(`${this.url}/metrics`, { headers: { authorization: `Bearer ${this.token}` } })).text();
  }

  /** Adds a record and answers with its id. */
  async add(path: string, body: unknown): Promise<number> {
    const answer = await this.call('POST', path, body);
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${answer.text}`);
    return answer.json.id;
  }
}
