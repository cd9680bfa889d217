// A real SMTP server of our own; what it took is read by Python's mail and CSV readers.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, start, type Started } from './process';

export const SMTP_USER = 'posthorn';
export const SMTP_PASSWORD = 'smtp pass';

export interface Mail {
  from: string;
  to: string[];
  secure: boolean;
  user: string | null;
  headers: Record<string, string>;
  text: string | null;
  html: string | null;
  attachments: { name: string; type: string; size: number; path: string; cells?: string[][] }[];
}

export class SmtpServer {
  private constructor(private readonly folder: string, private readonly started: Started, readonly port: number) {}

  /** With a user and a password, or for `anybody`. */
  static async start(security: 'plain' | 'starttls' | 'ssl', { anybody = false } = {}): Promise<SmtpServer> {
    const folder = mkdtempSync(join(tmpdir(), 'posthorn-smtp-'));
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-keyout', key, '-out', certificate, '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
      '-addext', 'basicConstraints=critical,CA:FALSE']);
    const user = anybody ? [] : ['--user', SMTP_USER, SMTP_PASSWORD];
    const tls = security === 'plain' ? [] : [`--${security}`, certificate, key];
    const script = join(process.cwd(), 'support/smtp_server.py');
    const started = await start('/usr/bin/python3', [script, folder, ...user, ...tls], {}, /listening on/);
    return new SmtpServer(folder, started, Number(/listening on (\d+)/.exec(started.said())?.[1]));
  }

  /** Everything that was taken so far. */
  mails(): Mail[] {
    const files = readdirSync(this.folder).filter((it) => it.endsWith('.json')).sort();
    return files.map((it) => JSON.parse(readFileSync(join(this.folder, it), 'utf8')));
  }

  /** The mails to that recipient. */
  to(recipient: string): Mail[] {
    return this.mails().filter((it) => it.to.includes(recipient));
  }

  async stop(): Promise<void> {
    await this.started.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What pdftotext reads in a PDF. */
export function pdfText(path: string): Promise<string> {
  return run('pdftotext', ['-layout', path, '-']);
}
