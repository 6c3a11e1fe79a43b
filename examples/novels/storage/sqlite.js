import { readFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { StorageError } from './errors.js';

const SCHEMA = new URL('../schema.sql', import.meta.url);

export const dialect = {
  byBytes: 'COLLATE BINARY',
  replaceAudio: [
    `INSERT OR REPLACE INTO audio_cache
       (paragraph_id, voice, file_id, file_size, duration_ms, checksum, metadata, created_at)
     VALUES
       (@paragraph_id, @voice, @file_id, @file_size, @duration_ms, @checksum, @metadata, @created_at)`,
  ],
};

const KINDS = [
  [/^SQLITE_CONSTRAINT_FOREIGNKEY$/, 'missing'],
  [/^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY)$/, 'duplicate'],
  [/^SQLITE_CONSTRAINT_(CHECK|NOTNULL)$/, 'invalid'],
  // The service has no triggers: one that raises was put there to stop writes.
  [/^SQLITE_(BUSY|LOCKED|READONLY|FULL|IOERR|CONSTRAINT_TRIGGER)/, 'unavailable'],
];

/** After the handover every write fails and says so. */
const MOVED = /cdcsync: this database moved to PostgreSQL/;

function translated(error) {
  const kind = MOVED.test(error.message)
    ? 'unavailable'
    : KINDS.find(([pattern]) => pattern.test(error.code ?? ''))?.[1];
  return kind ? new StorageError(kind, error) : error;
}

/** One connection, so statements of other requests wait while a transaction is open. */
export class SqliteProvider {
  name = 'sqlite';
  dialect = dialect;
  #db;
  #statements = new Map();
  #tail = Promise.resolve();

  constructor(db) {
    this.#db = db;
  }

  all(sql, params) {
    return this.#queued(() => this.#direct.all(sql, params));
  }

  get(sql, params) {
    return this.#queued(() => this.#direct.get(sql, params));
  }

  run(sql, params) {
    return this.#queued(() => this.#direct.run(sql, params));
  }

  exec(sql) {
    return this.#queued(() => this.#direct.exec(sql));
  }

  transaction(work) {
    return this.#queued(async () => {
      await this.#direct.exec('BEGIN IMMEDIATE');
      try {
        const result = await work(this.#direct);
        await this.#direct.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
        throw error;
      }
    });
  }

  close() {
    return this.#queued(() => this.#db.close());
  }

  #direct = {
    dialect,
    all: async (sql, params = {}) => this.#call(() => this.#prepared(sql).all(params)),
    get: async (sql, params = {}) => this.#call(() => this.#prepared(sql).get(params)),
    run: async (sql, params = {}) => {
      const { changes } = this.#call(() => this.#prepared(sql).run(params));
      return { changes };
    },
    exec: async (sql) => void this.#call(() => this.#db.exec(sql)),
  };

  #call(work) {
    try {
      return work();
    } catch (error) {
      throw translated(error);
    }
  }

  #prepared(sql) {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }

  #queued(work) {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }
}

export async function open(env) {
  const db = new Database(env.SQLITE_PATH || 'novels.db', { timeout: 5000 });
  db.pragma(`journal_mode = ${env.SQLITE_JOURNAL_MODE || 'WAL'}`);
  db.pragma(`synchronous = ${env.SQLITE_SYNCHRONOUS || 'NORMAL'}`);
  db.pragma('foreign_keys = ON');
  db.exec(readFileSync(SCHEMA, 'utf8'));
  return new SqliteProvider(db);
}
