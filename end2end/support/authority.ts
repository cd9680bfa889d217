// A certificate authority of our own, and what it issues.
import { isIP } from 'node:net';
import { createHash, createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Identity } from './dovecot';
import { run } from './process';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

export class Authority {
  private n = 0;

  private constructor(readonly folder: string, readonly certificate: string) {}

  static async make(name: string): Promise<Authority> {
    const folder = mkdtempSync(join(tmpdir(), 'posthorn-authority-'));
    const file = join(folder, 'ca.pem');
    await run('openssl', ['req', '-x509', ...KEY, '-keyout', join(folder, 'ca.key'), '-out', file, '-subj', `/CN=${name}`,
      '-addext', 'basicConstraints=critical,CA:TRUE']);
    return new Authority(folder, readFileSync(file, 'utf8'));
  }

  /** A new key and a certificate for these names and addresses. */
  async issue(...hosts: string[]): Promise<Identity> {
    this.n += 1;
    const names = hosts.map((it) => `${isIP(it) ? 'IP' : 'DNS'}:${it}`).join(',');
    const [key, certificate] = [join(this.folder, `${this.n}.key`), join(this.folder, `${this.n}.pem`)];
    await run('openssl', ['req', '-x509', '-CA', join(this.folder, 'ca.pem'), '-CAkey', join(this.folder, 'ca.key'), ...KEY,
      '-keyout', key, '-out', certificate, '-subj', `/CN=${hosts[0]}`, '-addext', `subjectAltName=${names}`,
      '-addext', 'basicConstraints=critical,CA:FALSE']);
    return { key: readFileSync(key, 'utf8'), certificate: readFileSync(certificate, 'utf8') };
  }

  stop(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The fingerprint of a certificate's key. */
export function pin(identity: Identity): string {
  const spki = createPublicKey(identity.certificate).export({ type: 'spki', format: 'der' });
  return `SHA256:${createHash('sha256').update(spki).digest('base64')}`;
}
