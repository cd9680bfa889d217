// A closed network of our own: a namespace that only an edge machine of it reaches from here, as the networks behind connectors are.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { run } from './process';

/** Only root may lay a cable into a network namespace. */
export const CAN_MAKE_NETWORKS = userInfo().uid === 0;

/** Where a program runs. */
export interface Place {
  /** Where it listens. */
  address: string;
  /** Where those who come from here come from. */
  from: string;
  /** The command that runs a command there. */
  enter(program: string, args: string[]): [string, string[]];
}

/** This machine. */
export const HERE: Place = { address: '127.0.0.1', from: '127.0.0.1', enter: (program, args) => [program, args] };

/** A name that only this network knows; it stands for `inner`. */
export const INNER_NAME = 'mail.inside.test';

/** `address` is its edge, which is reached from here; `inner` is an address behind it, which is not. The namespace belongs to a process
 * that ends with this one, and so do the programs in it: the kernel then takes the cable away, even if a test run was killed. */
export class ClosedNetwork implements Place {
  private constructor(
    private readonly keeper: ChildProcess,
    private readonly folder: string,
    private readonly cable: string,
    readonly from: string,
    readonly address: string,
    readonly inner: string,
    /** On the cable, where nobody answers. */
    readonly nobody: string,
  ) {}

  static async make(): Promise<ClosedNetwork> {
    // Eight addresses of the range for tests between networks (RFC 2544), others for each process.
    const at = (process.pid % 16_384) * 8;
    const [from, address, inner, nobody] = [1, 2, 3, 4].map((n) => `198.${18 + (at >> 16)}.${(at >> 8) & 255}.${(at & 255) + n}`);
    const [folder, cable] = [mkdtempSync(join(tmpdir(), 'posthorn-network-')), `ph-${process.pid}`];
    const keeper = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', '--mount', 'sh', '-c', 'echo there; exec cat'],
      { stdio: ['pipe', 'pipe', 'inherit'] });
    const network = new ClosedNetwork(keeper, folder, cable, from, address, inner, nobody);
    try {
      await new Promise((resolve, reject) => { keeper.stdout.once('data', resolve); keeper.once('error', reject).once('exit', reject); });
      writeFileSync(join(folder, 'hosts'), `127.0.0.1 localhost\n${inner} ${INNER_NAME}\n`);
      await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'edge', 'netns', `${keeper.pid}`]);
      await run('ip', ['address', 'add', `${from}/29`, 'dev', cable]);
      await run('ip', ['link', 'set', cable, 'up']);
      // The edge answers for its own address only: whoever asks for the inner one from here gets no answer.
      await run(...network.enter('sh', ['-ec', `
        ip link set lo up
        ip address add ${address}/29 dev edge
        echo 1 > /proc/sys/net/ipv4/conf/edge/arp_ignore
        ip link set edge up
        ip address add ${inner}/32 dev lo
        mount --bind ${folder}/hosts /etc/hosts
      `]));
      return network;
    } catch (error) {
      await network.stop();
      throw error;
    }
  }

  enter(program: string, args: string[]): [string, string[]] {
    // They exec each other, so that a signal arrives where it is meant to.
    return ['setpriv', ['--pdeathsig', 'KILL', 'nsenter', '--target', `${this.keeper.pid}`, '--net', '--mount', '--', program, ...args]];
  }

  /** Ends every program in it. Fails if anything is left. */
  async stop(): Promise<void> {
    const ended = new Promise((done) => this.keeper.once('exit', done));
    for (const pid of members(`${this.keeper.pid}`)) process.kill(pid, 'SIGKILL');
    if (this.keeper.exitCode === null && this.keeper.signalCode === null) await ended;
    rmSync(this.folder, { recursive: true, force: true });
    for (const until = Date.now() + 10_000; Date.now() < until;) {
      if (!(await run('ip', ['-oneline', 'link'])).includes(` ${this.cable}@`)) return;
    }
    throw new Error(`${this.cable} is left: a program still runs in the network`);
  }
}

/** The processes in the same network namespace as this one. */
function members(pid: string): number[] {
  const namespace = (of: string): string => {
    try { return readlinkSync(`/proc/${of}/ns/net`); } catch { return ''; }
  };
  const wanted = namespace(pid);
  return readdirSync('/proc').filter((it) => /^\d+$/.test(it) && wanted !== '' && namespace(it) === wanted).map(Number);
}
