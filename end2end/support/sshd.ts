// A real OpenSSH server of our own: a high port, a host key of its own, one user by key and, where the system lets us add one, one
// by password.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type ChildProcess, spawn } from 'node:child_process';
import { HERE, type Place } from './network';
import { freePort, run } from './process';

/** Only root may add the user that comes with a password, and only root's sshd lets another user in. */
export const CAN_ADD_USERS = userInfo().uid === 0;
const JUMP_PASSWORD = 'over-the-fence';

export class Sshd {
  private child: ChildProcess | undefined;

  private constructor(
    private readonly folder: string,
    readonly port: number,
    /** User name and private key. */
    readonly byKey: { username: string; secret: string },
    readonly byPassword: { username: string; secret: string },
    private readonly place: Place,
  ) {}

  static async start(place: Place = HERE): Promise<Sshd> {
    const [folder, port] = [mkdtempSync(join(tmpdir(), 'posthorn-sshd-')), await freePort()];
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'user')]);
    const secret = readFileSync(join(folder, 'user'), 'utf8');
    writeFileSync(join(folder, 'authorized_keys'), readFileSync(join(folder, 'user.pub')));
    const jump = `jump${process.pid}`;
    if (CAN_ADD_USERS) {
      await run('useradd', ['--no-create-home', '--shell', '/usr/sbin/nologin', jump]);
      await run('chpasswd', [], `${jump}:${JUMP_PASSWORD}\n`);
      mkdirSync('/run/sshd', { recursive: true });
      chmodSync('/run/sshd', 0o755);
    }
    const config = [`Port ${port}`, `ListenAddress ${place.address}`, `HostKey ${folder}/host`, `AuthorizedKeysFile ${folder}/authorized_keys`,
      'PidFile none', 'StrictModes no', 'UsePAM no', 'PasswordAuthentication yes', 'PermitOpen any', ''];
    writeFileSync(join(folder, 'sshd_config'), config.join('\n'));
    const sshd = new Sshd(folder, port, { username: userInfo().username, secret }, { username: jump, secret: JUMP_PASSWORD }, place);
    await sshd.renewHostKey();
    await sshd.run();
    return sshd;
  }

  /** Another host key, as after setting the machine up anew; the server has to be started again. */
  async renewHostKey(): Promise<void> {
    for (const file of ['host', 'host.pub']) rmSync(join(this.folder, file), { force: true });
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.folder, 'host')]);
  }

  /** What whoever runs the server says its key is. */
  async fingerprint(): Promise<string> {
    return (await run('ssh-keygen', ['-l', '-f', join(this.folder, 'host.pub')])).split(' ')[1];
  }

  async run(): Promise<void> {
    const child = spawn(...this.place.enter('/usr/sbin/sshd', ['-D', '-q', '-f', join(this.folder, 'sshd_config')]), { stdio: 'ignore' });
    this.child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      const attempt = (): void => {
        if (child.exitCode !== null) return reject(new Error(`sshd ended with ${child.exitCode}`));
        const socket = connect(this.port, this.place.address);
        socket.once('connect', () => { socket.destroy(); resolve(); });
        socket.once('error', () => setTimeout(attempt, 20));
      };
      attempt();
    });
  }

  /** Ends it and every connection at once, as a power cut does. */
  async kill(): Promise<void> {
    const child = this.child;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    for (const pid of [child.pid, ...descendants(child.pid)]) {
      try { process.kill(pid, 'SIGKILL'); } catch { /* It has ended by itself. */ }
    }
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    if (CAN_ADD_USERS) await run('userdel', [this.byPassword.username]).catch(() => {});
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The processes that a process has started, and theirs: each connection is one in a session of its own. */
function descendants(parent: number): number[] {
  const children = readdirSync('/proc').filter((it) => /^\d+$/.test(it) && existsSync(`/proc/${it}/stat`)).filter((it) => {
    try { return readFileSync(`/proc/${it}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')[1] === `${parent}`; } catch { return false; }
  });
  return children.map(Number).flatMap((it) => [it, ...descendants(it)]);
}
