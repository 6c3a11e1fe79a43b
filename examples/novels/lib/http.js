const MAX_BODY_BYTES = 16 * 1024 * 1024;
// PostgreSQL's text holds neither, so no provider may accept them.
const NOT_TEXT = /\u0000|\p{Surrogate}/u;

export class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function checkedText(text) {
  if (NOT_TEXT.test(text)) throw new HttpError(400, 'text must not contain NUL or lone surrogates');
  return text;
}

function checkedEntry(key, value) {
  checkedText(key);
  if (typeof value === 'string') checkedText(value);
  return value;
}

export async function readJson(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new HttpError(413, 'body too large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'), checkedEntry);
  } catch (error) {
    throw error instanceof HttpError ? error : new HttpError(400, 'body is not JSON');
  }
}

export function sendJson(response, status, value, headers = {}) {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': body.length,
    ...headers,
  });
  response.end(body);
}
