// parse-server with LiveQuery, doing the same job: class Appointment, a look-up in beforeSave, queries that stay live.
import { createServer } from 'node:http';

import express from 'express';
import { ParseServer } from 'parse-server';

const { MONGO_URL, MASTER_KEY, PORT = '0' } = process.env;
if (!MONGO_URL || !MASTER_KEY) {
  console.error('set MONGO_URL and MASTER_KEY');
  process.exit(1);
}
const DAY = 24 * 60 * 60 * 1000;
const MINUTE = 60 * 1000;

// All doctors of this benchmark live in Bogotá, 5 hours behind UTC all year.
const OFFSET = -5 * 60 * MINUTE;
const localDate = (at) => new Date(at.getTime() + OFFSET).toISOString().slice(0, 10);
const localMinutes = (at) => Math.floor((at.getTime() + OFFSET) / MINUTE) % 1440;

const anyone = { find: { '*': true }, get: { '*': true }, count: { '*': true } };
const users = { create: { requiresAuthentication: true }, update: { requiresAuthentication: true } };
const definitions = [
  {
    className: 'Doctor',
    fields: {
      name: { type: 'String', required: true },
      opens: { type: 'Number', required: true },
      closes: { type: 'Number', required: true },
      durationMinutes: { type: 'Number', required: true },
    },
    classLevelPermissions: { ...anyone, ...users },
  },
  {
    className: 'Appointment',
    fields: {
      doctor: { type: 'String', required: true },
      doctorName: { type: 'String' },
      patient: { type: 'String' },
      date: { type: 'String' },
      start: { type: 'Date', required: true },
      end: { type: 'Date' },
      status: { type: 'String' },
      reason: { type: 'String' },
    },
    indexes: { doctor_start: { doctor: 1, start: 1 }, patient_start: { patient: 1, start: 1 } },
    classLevelPermissions: { ...anyone, ...users },
  },
];

/** What overlaps a time, of the doctor or the patient. No appointment lasts longer than a day: that bounds the scan. */
async function isTaken(doctor, patient, start, end) {
  const of = (field, value) => new Parse.Query('Appointment')
    .equalTo(field, value)
    .equalTo('status', 'booked')
    .lessThan('start', end)
    .greaterThan('start', new Date(start.getTime() - DAY))
    .greaterThan('end', start);
  return await Parse.Query.or(of('doctor', doctor), of('patient', patient)).first({ useMasterKey: true });
}

function cloud() {
  Parse.Cloud.beforeSave('Appointment', async ({ object, user, original }) => {
    if (original) return;
    if (!user) throw new Parse.Error(Parse.Error.INVALID_SESSION_TOKEN, 'unauthenticated');
    const doctor = await new Parse.Query('Doctor').get(object.get('doctor'), { useMasterKey: true });
    const start = object.get('start');
    const end = new Date(start.getTime() + doctor.get('durationMinutes') * MINUTE);
    const into = localMinutes(start) - doctor.get('opens');
    const fits = into >= 0 && into % doctor.get('durationMinutes') === 0
      && localMinutes(start) + doctor.get('durationMinutes') <= doctor.get('closes') && start > new Date();
    if (!fits) throw new Parse.Error(Parse.Error.VALIDATION_ERROR, 'slot_unavailable');
    if (await isTaken(object.get('doctor'), user.id, start, end)) {
      throw new Parse.Error(Parse.Error.DUPLICATE_VALUE, 'slot_taken');
    }
    object.set({ doctorName: doctor.get('name'), patient: user.id, date: localDate(start), end, status: 'booked' });
  });

  Parse.Cloud.define('freeSlots', async ({ params }) => {
    const doctor = await new Parse.Query('Doctor').get(params.doctor, { useMasterKey: true });
    const first = new Date(`${params.from}T00:00:00Z`).getTime() - OFFSET;
    const last = new Date(`${params.to}T00:00:00Z`).getTime() - OFFSET + DAY;
    const appointments = await new Parse.Query('Appointment')
      .equalTo('doctor', params.doctor)
      .equalTo('status', 'booked')
      .greaterThanOrEqualTo('start', new Date(first))
      .lessThan('start', new Date(last))
      .select('start')
      .limit(10_000)
      .find({ useMasterKey: true });
    const taken = new Set(appointments.map((one) => one.get('start').getTime()));
    const length = doctor.get('durationMinutes');
    const slots = [];
    for (let day = first; day < last; day += DAY) {
      for (let at = doctor.get('opens'); at + length <= doctor.get('closes'); at += length) {
        const start = day + at * MINUTE;
        if (start > Date.now() && !taken.has(start)) {
          slots.push({ start: new Date(start).toISOString(), end: new Date(start + length * MINUTE).toISOString() });
        }
      }
    }
    return slots;
  });
}

const app = express();
const server = createServer(app);
await new Promise((resolve) => server.listen(Number(PORT), '127.0.0.1', resolve));
const serverURL = `http://127.0.0.1:${server.address().port}/parse`;
const parse = new ParseServer({
  appId: 'bench',
  masterKey: MASTER_KEY,
  databaseURI: MONGO_URL,
  serverURL,
  cloud,
  schema: { definitions, lockSchemas: false },
  liveQuery: { classNames: ['Appointment'] },
  allowClientClassCreation: false,
  enableInsecureAuthAdapters: false,
  silent: true,
  logLevel: 'error',
});
await parse.start();
app.use('/parse', parse.app);
await ParseServer.createLiveQueryServer(server, { appId: 'bench', masterKey: MASTER_KEY, serverURL, logLevel: 'error' });
console.log(`listening ${serverURL.replace('/parse', '')}`);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
