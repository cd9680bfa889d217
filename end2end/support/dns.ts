// A real DNS server of our own, dnsmasq: it knows the names below `test` that it is told of, and that there are no others.
import { userInfo } from 'node:os';
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { freePort } from './process';

export class Dns {
  private constructor(private readonly child: ChildProcess, readonly address: string) {}

  /** `records` are dnsmasq's: `srv-host=_imaps._tcp.example.test,imap.example.test,993`, `address=/imap.example.test/127.0.0.1`. */
  static async start(records: string[]): Promise<Dns> {
    const port = await freePort();
    const child = spawn('/usr/sbin/dnsmasq', ['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--no-resolv', '--no-hosts',
      '--bind-interfaces', '--listen-address=127.0.0.1', `--port=${port}`, `--user=${userInfo().username}`, '--local=/test/',
      ...records.map((it) => `--${it}`)], { stdio: 'inherit' });
    await new Promise<void>((resolve, reject) => {
      const attempt = () => {
        if (child.exitCode !== null) return reject(new Error(`dnsmasq ended with ${child.exitCode}`));
        const socket = connect(port, '127.0.0.1');
        socket.once('connect', () => { socket.destroy(); resolve(); });
        socket.once('error', () => setTimeout(attempt, 50));
      };
      attempt();
    });
    return new Dns(child, `127.0.0.1:${port}`);
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    await ended;
  }
}
