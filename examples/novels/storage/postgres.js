import pg from 'pg';
import { StorageError } from './errors.js';

export const dialect = {
  byBytes: 'COLLATE "C"',
  // REPLACE removes every row in its way; ON CONFLICT knows one key, so the other goes first.
  replaceAudio: [
    `DELETE FROM audio_cache
     WHERE file_id = @file_id AND (paragraph_id <> @paragraph_id OR voice <> @voice)`,
    `INSERT INTO audio_cache
       (paragraph_id, voice, file_id, file_size, duration_ms, checksum, metadata, created_at)
     VALUES
       (@paragraph_id, @voice, @file_id, @file_size, @duration_ms, @checksum, @metadata, @created_at)
     ON CONFLICT (paragraph_id, voice) DO UPDATE SET
       file_id = excluded.file_id, file_size = excluded.file_size,
       duration_ms = excluded.duration_ms, checksum = excluded.checksum,
       metadata = excluded.metadata, created_at = excluded.created_at`,
  ],
};

const { INT8, TIMESTAMPTZ } = pg.types.builtins;
const asDate = pg.types.getTypeParser(TIMESTAMPTZ);

/** Rows look as they do from SQLite: numbers for bigint, ISO text for timestamptz. */
const types = {
  getTypeParser(oid, format) {
    if (oid === INT8) return Number;
    if (oid === TIMESTAMPTZ) return (text) => asDate(text).toISOString();
    return pg.types.getTypeParser(oid, format);
  },
};

const KINDS = [
  [/^23503$/, 'missing'],
  [/^23505$/, 'duplicate'],
  [/^(23502|23514|22.{3})$/, 'invalid'],
  // P0001: the service has no triggers, so one that raises was put there to stop writes.
  [/^(08...|25006|40...|53...|55P03|57...|P0001)$/, 'unavailable'],
];

function translated(error) {
  // Without an SQLSTATE it is the connection that failed, not the statement.
  if (!(error instanceof pg.DatabaseError)) return new StorageError('unavailable', error);
  const kind = KINDS.find(([pattern]) => pattern.test(error.code))?.[1];
  return kind ? new StorageError(kind, error) : error;
}

const numbered = new Map();

/** `@name` becomes `$1`, and the names in order. */
function positional(sql) {
  let entry = numbered.get(sql);
  if (!entry) {
    const names = [];
    const text = sql.replace(/@(\w+)/g, (_, name) => {
      if (!names.includes(name)) names.push(name);
      return `$${names.indexOf(name) + 1}`;
    });
    numbered.set(sql, (entry = { text, names }));
  }
  return entry;
}

class Queries {
  dialect = dialect;

  constructor(client) {
    this.client = client;
  }

  async query(sql, params = {}) {
    const { text, names } = positional(sql);
    try {
      return await this.client.query(text, names.map((name) => params[name]));
    } catch (error) {
      throw translated(error);
    }
  }

  async all(sql, params) {
    return (await this.query(sql, params)).rows;
  }

  async get(sql, params) {
    return (await this.query(sql, params)).rows[0];
  }

  async run(sql, params) {
    return { changes: (await this.query(sql, params)).rowCount };
  }

  async exec(sql) {
    // Without parameters the driver takes several statements at once.
    await this.client.query(sql).catch((error) => Promise.reject(translated(error)));
  }
}

export class PostgresProvider extends Queries {
  name = 'postgres';

  async transaction(work) {
    const client = await this.client.connect().catch((error) => Promise.reject(translated(error)));
    const tx = new Queries(client);
    let broken;
    try {
      await tx.exec('BEGIN');
      const result = await work(tx);
      await tx.exec('COMMIT');
      return result;
    } catch (error) {
      broken = await client.query('ROLLBACK').then(() => undefined, (failure) => failure);
      throw error;
    } finally {
      client.release(broken);
    }
  }

  close() {
    return this.client.end();
  }
}

/** libpq's meaning of PGSSLMODE; the driver cannot fall back, so allow and prefer are plain. */
function sslFor(mode = 'prefer') {
  if (['disable', 'allow', 'prefer'].includes(mode)) return false;
  if (mode === 'require') return { rejectUnauthorized: false };
  if (mode === 'verify-ca') return { checkServerIdentity: () => undefined };
  if (mode === 'verify-full') return true;
  throw new Error(`PGSSLMODE ${mode} is not known`);
}

export async function open(env) {
  const pool = new pg.Pool({
    host: env.PGHOST,
    port: env.PGPORT,
    user: env.PGUSER,
    password: env.PGPASSWORD,
    database: env.PGDATABASE,
    ssl: sslFor(env.PGSSLMODE || undefined),
    connectionTimeoutMillis: 5000,
    types,
  });
  // An idle connection that dies is replaced at the next query; unhandled, it would end the process.
  pool.on('error', () => {});
  return new PostgresProvider(pool);
}
