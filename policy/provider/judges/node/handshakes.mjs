// What the providers' libraries answer handshakes with.

export async function load(libraries) {
  const discord = libraries.load('discord-interactions/dist/index.js');
  const ebay = libraries.load('event-notification-nodejs-sdk/lib/validator.js');

  const slack = libraries.load('@slack/bolt/dist/receivers/HTTPModuleFunctions.js');

  // A middleware as a server runs it: what it writes is the answer.
  const middleware = (make) => async (r) => {
    const answer = { status: 200, type: '', body: '' };
    await new Promise((resolve, reject) => {
      const res = {
        set statusCode(status) { answer.status = status; },
        setHeader: (name, value) => { if (name.toLowerCase() === 'content-type') answer.type = value; },
        end: (body) => { answer.body = body ?? ''; resolve(); },
      };
      const req = { body: r.bytes, header: (name) => r.headers[name.toLowerCase()] };
      make(r.secret)(req, res, () => reject(new Error('it is no handshake'))).catch(reject);
    });
    return answer;
  };
  const query = (r, name) => new URL(r.url).searchParams.get(name);

  return {
    answerers: {
      // What HTTPReceiver does with an event of this type.
      '@slack/bolt': async (r) => {
        const answer = { status: 0, type: '', body: '' };
        const req = await slack.parseAndVerifyHTTPRequest({ signingSecret: r.secret }, { headers: r.headers, rawBody: r.bytes });
        slack.buildUrlVerificationResponse({
          writeHead: (status, headers) => { answer.status = status; answer.type = headers['content-type']; },
          end: (body) => { answer.body = body; },
        }, slack.parseHTTPRequestBody(req));
        return answer;
      },
      'discord-interactions': middleware(discord.verifyKeyMiddleware),
      'discord-interactions/events': middleware(discord.verifyWebhookEventMiddleware),
      'event-notification-nodejs-sdk': (r) => ({
        status: 200,
        type: 'application/json',
        body: JSON.stringify({
          challengeResponse: ebay.generateChallengeResponse(
            query(r, 'challenge_code'), { verificationToken: r.secret, endpoint: r.url.split('?')[0] }),
        }),
      }),
    },
  };
}
