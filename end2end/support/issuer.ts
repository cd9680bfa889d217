// A real OpenID provider of our own, with a page on which one consents, and what Dovecot asks about its tokens.
import { createServer as createPlain, type Server } from 'node:http';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';
import type { Identity } from './dovecot';
import { freePort } from './process';

export const CLIENT = { id: 'posthorn', secret: 'the client secret of the application' };

export class Issuer {
  private grant = '';
  private readonly issued: { destroy(): Promise<void> }[] = [];

  private constructor(
    private readonly provider: any,
    private readonly servers: Server[],
    readonly url: string,
    /** Says whether a token is good, and whose (RFC 7662). */
    readonly introspection: string,
  ) {}

  /** Everybody who consents is `user`. */
  static async start(identity: Identity, redirect: string, user: string): Promise<Issuer> {
    const [port, plain] = [await freePort(), await freePort()];
    const url = `https://localhost:${port}`;
    const provider = new Provider(url, {
      clients: [{
        client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [redirect], response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'], token_endpoint_auth_method: 'client_secret_post',
      }],
      features: {
        devInteractions: { enabled: false },
        deviceFlow: {
          enabled: true, mask: '****-****', charset: 'base-20',
          // Whoever was sent without the code enters it.
          userCodeInputSource: async (context: any, form: string) => {
            context.body = page('Device', `${form}<button form="op.deviceInputForm">Continue</button>`);
          },
          userCodeConfirmSource: async (context: any, form: string, _: unknown, __: unknown, code: string) => {
            context.body = page('Device', `<p>${code}</p>${form}<button form="op.deviceConfirmForm">Confirm</button>
              <button form="op.deviceConfirmForm" name="abort" value="yes">Decline</button>`);
          },
          successSource: async (context: any) => {
            context.body = page('Done', '<p>The device may go on.</p>');
          },
        },
      },
      pkce: { required: () => true, methods: ['S256'] },
      rotateRefreshToken: true,
      ttl: { AccessToken: 3600, AuthorizationCode: 60, DeviceCode: 600, Grant: 86_400, IdToken: 600, Interaction: 600, RefreshToken: 86_400, Session: 86_400 },
      issueRefreshToken: async () => true,
      cookies: { keys: ['of the tests'] },
      findAccount: async (_: unknown, id: string) => ({ accountId: id, claims: async () => ({ sub: id }) }),
      interactions: { url: (_: unknown, it: { uid: string }) => `/interaction/${it.uid}` },
    } as any) as any;
    provider.on('access_token.saved', (token: { destroy(): Promise<void> }) => issuer.issued.push(token));
    const answer = provider.callback();
    const server = createServer({ key: identity.key, cert: identity.certificate }, async (request, response) => {
      if (!request.url?.startsWith('/interaction/')) return answer(request, response);
      if (request.method === 'GET') {
        response.setHeader('content-type', 'text/html; charset=utf-8');
        response.end(page('Consent', '<form method="post"><button>Consent</button></form>'));
        return;
      }
      const { params } = await provider.interactionDetails(request, response);
      const grant = new provider.Grant({ accountId: user, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      issuer.grant = await grant.save();
      const result = { login: { accountId: user }, consent: { grantId: issuer.grant } };
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    });
    const introspect = createPlain((request, response) => {
      let body = '';
      request.on('data', (text) => (body += text)).on('end', async () => {
        const found = await provider.AccessToken.find(new URLSearchParams(body).get('token') ?? '');
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(found?.isValid ? { status: 'active', username: found.accountId } : { status: 'inactive' }));
      });
    });
    await Promise.all([
      new Promise<void>((done) => server.listen(port, '127.0.0.1', done)),
      new Promise<void>((done) => introspect.listen(plain, '127.0.0.1', done)),
    ]);
    const issuer = new Issuer(provider, [server, introspect], url, `http://127.0.0.1:${plain}/`);
    return issuer;
  }

  /** Takes back what was consented to: access and refresh tokens are worth nothing any more. */
  async revoke(): Promise<void> {
    for (const kind of ['AccessToken', 'RefreshToken']) await this.provider[kind].revokeByGrantId(this.grant);
    await (await this.provider.Grant.find(this.grant))?.destroy();
  }

  /** Access tokens alone, as some providers do after a while: the consent stands. */
  async revokeTokens(): Promise<void> {
    for (const token of this.issued.splice(0)) await token.destroy();
  }

  stop(): void {
    for (const server of this.servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><title>${title}</title><link rel="icon" href="data:,">${body}</html>`;
}
