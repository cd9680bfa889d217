// Real proxies of our own: microsocks for SOCKS5, tinyproxy for HTTP CONNECT, each with or without a password.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildProcess, spawn } from 'node:child_process';
import { HERE, type Place } from './network';
import { freePort } from './process';

export const PROXY_USER = 'proxy-user';
export const PROXY_PASSWORD = 'proxy-pass';

export class Proxy {
  private child?: ChildProcess;

  private constructor(
    readonly port: number,
    private readonly command: [string, string[]],
    private readonly folder: string,
    private readonly address: string,
  ) {}

  static async start(kind: 'socks5' | 'http_connect', withPassword: boolean, place: Place = HERE): Promise<Proxy> {
    const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), 'posthorn-proxy-'))];
    const config = join(folder, 'tinyproxy.conf');
    const auth = withPassword ? `BasicAuth ${PROXY_USER} ${PROXY_PASSWORD}\n` : '';
    writeFileSync(config, `Port ${port}\nListen ${place.address}\nTimeout 60\nMaxClients 50\nAllow ${place.from}\nAllow ${place.address}\n${auth}`);
    const command: [string, string[]] = kind === 'socks5'
      ? ['microsocks', ['-i', place.address, '-p', `${port}`, ...(withPassword ? ['-u', PROXY_USER, '-P', PROXY_PASSWORD] : [])]]
      : ['tinyproxy', ['-d', '-c', config]];
    const proxy = new Proxy(port, place.enter(...command), folder, place.address);
    await proxy.run();
    return proxy;
  }

  /** Starts it, or starts it again on its port. */
  async run(): Promise<void> {
    const child = spawn(...this.command, { stdio: 'ignore' });
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    await Promise.race([listening(this.address, this.port, child), failed]);
    this.child = child;
  }

  /** With every connection that goes by it. */
  async kill(): Promise<void> {
    const child = this.child;
    if (!child) return;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await ended;
  }

  stop(): void {
    this.child?.kill('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until somebody accepts; fails if the program ends before. */
function listening(address: string, port: number, child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      if (child.exitCode !== null) return reject(new Error(`the proxy ended with ${child.exitCode}`));
      const socket = connect(port, address);
      socket.once('connect', () => { socket.destroy(); resolve(); });
      socket.once('error', () => setTimeout(attempt, 20));
    };
    attempt();
  });
}
