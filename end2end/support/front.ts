// What stands before Posthorn where agents dial in from other machines: ends TLS and hands on the bytes.
import { connect, type Socket } from 'node:net';
import { createServer, type Server } from 'node:tls';
import type { Identity } from './dovecot';

export class Front {
  private readonly sockets = new Set<Socket>();
  private target = 0;

  private constructor(private readonly server: Server, readonly url: string) {}

  static async start(address: string, { key, certificate }: Identity): Promise<Front> {
    const server = createServer({ key, cert: certificate });
    await new Promise<void>((done, failed) => server.once('error', failed).listen(0, address, done));
    const { port } = server.address() as { port: number };
    const front = new Front(server, `https://${address}:${port}`);
    server.on('secureConnection', (socket) => {
      const behind = connect(front.target, '127.0.0.1');
      for (const [one, other] of [[socket, behind], [behind, socket]]) {
        front.sockets.add(one);
        one.pipe(other);
        one.on('error', () => {}).on('close', () => { front.sockets.delete(one); other.destroy(); });
      }
    });
    return front;
  }

  /** From now on connections go to this URL, which is of this machine. */
  leadTo(url: string): void {
    this.target = Number(new URL(url).port);
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}
