// A real Dovecot of our own: free ports, any user with one password, mail as files.
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type ChildProcess, spawn } from 'node:child_process';
import { HERE, type Place } from './network';
import { freePort, run } from './process';

/** A key and the certificates that are shown for it, in PEM. */
export interface Identity {
  key: string;
  certificate: string;
}

interface Options {
  password?: string;
  introspection?: string;
  relay?: number;
  place?: Place;
  inner?: string;
}

/** The ports of mail, which are free where nobody else is. */
export const USUAL_PORTS = { imap: 143, imaps: 993, pop3: 110, pop3s: 995, submission: 587 };

export class Dovecot {
  private delivered = 0;

  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    readonly ports: { imap: number; imaps: number; pop3: number; pop3s: number; submission: number },
    /** The certificate for `localhost` that vouches for itself. */
    readonly certificate: string,
  ) {}

  /** With a certificate and key of somebody's own, or with one that vouches for itself; `password` is everybody's.
   * With the address of an introspection endpoint (RFC 7662) tokens are taken as well; with the port of a server that takes mail,
   * mail is submitted here and goes on to there; in another place than this machine it has the ports of mail, on `inner` too. */
  static async start(
    identity?: Identity, { password = 'pass', introspection = '', relay = 0, place = HERE, inner = '' }: Options = {},
  ): Promise<Dovecot> {
    const folder = mkdtempSync(join(tmpdir(), 'posthorn-dovecot-'));
    chmodSync(folder, 0o755);
    const { imap, imaps, pop3, pop3s, submission } = place === HERE ? await freePorts() : USUAL_PORTS;
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    if (identity) show(folder, identity);
    else await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-keyout', key, '-out', certificate, '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
      '-addext', 'basicConstraints=critical,CA:FALSE']);
    mkdirSync(join(folder, 'mail'));
    chmodSync(join(folder, 'mail'), 0o777);
    // Dovecot does not serve as root: then its package's own users do, and the mail is anybody's to write.
    const me = userInfo().username;
    const [internal, login, user] = me === 'root' ? ['dovecot', 'dovenull', 'mail'] : [me, me, me];
    const config = `
      base_dir = ${folder}/run
      state_dir = ${folder}/state
      log_path = ${folder}/log
      listen = ${[place.address, inner].filter(Boolean).join(', ')}
      protocols = imap pop3${relay ? ' submission' : ''}
      ssl = yes
      ssl_cert = <${certificate}
      ssl_key = <${key}
      disable_plaintext_auth = no
      default_internal_user = ${internal}
      default_internal_group = ${internal}
      default_login_user = ${login}
      first_valid_uid = 1
      first_valid_gid = 1
      mail_location = maildir:${folder}/mail/%u
      mail_max_userip_connections = 1000
      auth_mechanisms = plain login${introspection ? ' oauthbearer xoauth2' : ''}
      ${introspection ? tokens(folder, introspection) : ''}
      passdb {
        driver = static
        mechanisms = plain login
        args = password=${password}
      }
      userdb {
        driver = static
        args = uid=${user} gid=${user} home=${folder}/mail/%u
      }
      service anvil {
        chroot =
      }
      service imap-login {
        chroot =
        inet_listener imap {
          port = ${imap}
        }
        inet_listener imaps {
          port = ${imaps}
          ssl = yes
        }
      }
      service pop3-login {
        chroot =
        inet_listener pop3 {
          port = ${pop3}
        }
        inet_listener pop3s {
          port = ${pop3s}
          ssl = yes
        }
      }
      ${relay ? submissions(submission, relay) : ''}
    `;
    writeFileSync(join(folder, 'dovecot.conf'), config);
    const child = spawn(...place.enter('/usr/sbin/dovecot', ['-F', '-c', join(folder, 'dovecot.conf')]), { stdio: 'inherit' });
    const ports = { imap, imaps, pop3, pop3s, submission };
    const open = relay ? Object.values(ports) : [imap, imaps, pop3, pop3s];
    await Promise.all(open.map((port) => listening(place.address, port, child)));
    return new Dovecot(folder, child, ports, certificate);
  }

  /** From now on another certificate and key. */
  show(identity: Identity): void {
    show(this.folder, identity);
    this.child.kill('SIGHUP');
  }

  /** Puts a message into a user's inbox. */
  deliver(user: string, message: string): void {
    const box = join(this.folder, 'mail', user);
    for (const part of ['', 'cur', 'new', 'tmp']) {
      mkdirSync(join(box, part), { recursive: true });
      chmodSync(join(box, part), 0o777);
    }
    this.delivered += 1;
    const name = `${1_700_000_000 + this.delivered}.M${this.delivered}P1.test`;
    const file = join(box, 'new', name);
    writeFileSync(file, message.replace(/\r?\n/g, '\r\n'));
    chmodSync(file, 0o666);
  }

  /** The file names of what is on the server; flags stand after `:2,`. */
  messages(user: string): string[] {
    return ['cur', 'new'].flatMap((part) => readdirSync(join(this.folder, 'mail', user, part)));
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function show(folder: string, { key, certificate }: Identity): void {
  writeFileSync(join(folder, 'key.pem'), key);
  writeFileSync(join(folder, 'cert.pem'), certificate);
}

async function freePorts(): Promise<typeof USUAL_PORTS> {
  const [imap, imaps, pop3, pop3s, submission] = await Promise.all([1, 2, 3, 4, 5].map(() => freePort()));
  return { imap, imaps, pop3, pop3s, submission };
}

function tokens(folder: string, introspection: string): string {
  const file = join(folder, 'oauth2.conf.ext');
  writeFileSync(file, `introspection_mode = post
introspection_url = ${introspection}
username_attribute = username
active_attribute = status
active_value = active
`);
  return `passdb {
        driver = oauth2
        mechanisms = oauthbearer xoauth2
        args = ${file}
      }`;
}

/** Mail is taken with TLS from the first byte on, and handed to the tests' own server. */
function submissions(port: number, relay: number): string {
  return `hostname = localhost
      submission_relay_host = 127.0.0.1
      submission_relay_port = ${relay}
      service submission-login {
        chroot =
        inet_listener submission {
          port = 0
        }
        inet_listener submissions {
          port = ${port}
          ssl = yes
        }
      }`;
}

/** Waits until somebody listens; gives up when the program has ended. */
function listening(address: string, port: number, child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const attempt = () => {
      if (child.exitCode !== null) return reject(new Error(`dovecot ended with ${child.exitCode}`));
      const socket = connect(port, address);
      socket.once('connect', () => { socket.destroy(); resolve(); });
      socket.once('error', () => setTimeout(attempt, 50));
    };
    attempt();
  });
}
