// Holds the SQLite file for itself until it is let go.
import Database from 'better-sqlite3';

const db = new Database(process.argv[2], { timeout: 10_000 });
db.exec('BEGIN EXCLUSIVE');
process.send('locked');
process.on('disconnect', () => {
  db.exec('COMMIT');
  db.close();
});
