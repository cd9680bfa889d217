// A web server that has autoconfig files, by HTTPS on the port that clients ask.
import { createServer, type Server } from 'node:https';
import type { Identity } from './dovecot';

export class Autoconfig {
  /** What was asked for: host and path. */
  readonly asked: string[] = [];

  private constructor(private readonly server: Server, readonly address: string) {}

  /** `files` are by host and path without a query: `autoconfig.example.test/mail/config-v1.1.xml`. The port is one that systems keep
   * for root; `sysctl net.ipv4.ip_unprivileged_port_start=443` lets others have it. */
  static async start(identity: Identity, files: Record<string, string>): Promise<Autoconfig> {
    const server = createServer({ key: identity.key, cert: identity.certificate }, (request, response) => {
      const path = `${request.headers.host}${request.url}`;
      autoconfig.asked.push(path);
      const file = files[path.split('?')[0]];
      response.writeHead(file ? 200 : 404, { 'content-type': 'text/xml' }).end(file ?? '');
    });
    // Not the usual loopback address: whoever has a web server there keeps it.
    const address = '127.0.77.1';
    const autoconfig = new Autoconfig(server, address);
    await new Promise<void>((done, failed) => server.once('error', failed).listen(443, address, done));
    return autoconfig;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** One server of a file. */
export function incoming(type: 'imap' | 'pop3', host: string, port: number, security: 'SSL' | 'STARTTLS' | 'plain', more = ''): string {
  return `<incomingServer type="${type}"><hostname>${host}</hostname><port>${port}</port><socketType>${security}</socketType>`
    + `<username>%EMAILLOCALPART%</username>${more}</incomingServer>`;
}

export function file(...servers: string[]): string {
  return `<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="example">${servers.join('')}</emailProvider></clientConfig>`;
}
