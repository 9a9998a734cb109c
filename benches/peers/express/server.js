// The old stack, as a team would have written it: Express, Mongoose and Socket.IO, with a look-up before the insert.
import { createServer } from 'node:http';
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

import express from 'express';
import { body, param, query, validationResult } from 'express-validator';
import jwt from 'jsonwebtoken';
import { DateTime } from 'luxon';
import mongoose from 'mongoose';
import { Server } from 'socket.io';

const { MONGO_URL, JWT_SECRET, PORT = '0' } = process.env;
if (!MONGO_URL || !JWT_SECRET) {
  console.error('set MONGO_URL and JWT_SECRET');
  process.exit(1);
}
const derive = promisify(scrypt);
const { Schema, model } = mongoose;

const User = model('User', new Schema({
  email: { type: String, required: true, unique: true },
  name: { type: String, required: true },
  role: { type: String, enum: ['patient', 'doctor'], default: 'patient' },
  password: { type: String, required: true },
}, { timestamps: true }));

const Doctor = model('Doctor', new Schema({
  user: { type: Schema.Types.ObjectId, ref: 'User', required: true, index: true },
  name: { type: String, required: true },
  timeZone: { type: String, required: true },
  // The same hours every day, as minutes of the day.
  opens: { type: Number, required: true },
  closes: { type: Number, required: true },
  durationMinutes: { type: Number, required: true },
}, { timestamps: true }));

const appointmentSchema = new Schema({
  doctor: { type: Schema.Types.ObjectId, ref: 'Doctor', required: true },
  doctorName: { type: String, required: true },
  patient: { type: Schema.Types.ObjectId, ref: 'User', required: true },
  patientName: { type: String, required: true },
  date: { type: String, required: true },
  start: { type: Date, required: true },
  end: { type: Date, required: true },
  status: { type: String, enum: ['booked', 'cancelled'], default: 'booked' },
  reason: String,
}, { timestamps: true });
appointmentSchema.index({ doctor: 1, start: 1 });
appointmentSchema.index({ patient: 1, start: 1 });
const Appointment = model('Appointment', appointmentSchema);

const DAY = 24 * 60 * 60 * 1000;

/** What overlaps a time, of the doctor or the patient. No appointment lasts longer than a day: that bounds the scan. */
function overlapping(start, end) {
  return { status: 'booked', start: { $lt: end, $gt: new Date(start.getTime() - DAY) }, end: { $gt: start } };
}

/** Whether a time lies on the doctor's grid, within their hours. */
function isOffered(doctor, start) {
  const local = DateTime.fromJSDate(start, { zone: doctor.timeZone });
  const minutes = local.hour * 60 + local.minute - doctor.opens;
  return minutes >= 0 && minutes % doctor.durationMinutes === 0
    && doctor.opens + minutes + doctor.durationMinutes <= doctor.closes && local.second === 0 && local.millisecond === 0;
}

async function freeSlots(doctor, from, to) {
  const first = DateTime.fromISO(from, { zone: doctor.timeZone });
  const last = DateTime.fromISO(to, { zone: doctor.timeZone }).plus({ days: 1 });
  const appointments = await Appointment
    .find({ doctor: doctor._id, status: 'booked', start: { $gte: first.toJSDate(), $lt: last.toJSDate() } })
    .select('start end').lean();
  const taken = new Set(appointments.map((one) => one.start.getTime()));
  const now = Date.now();
  const slots = [];
  for (let day = first; day < last; day = day.plus({ days: 1 })) {
    const midnight = day.toMillis();
    const isEven = day.plus({ days: 1 }).toMillis() - midnight === DAY;
    for (let at = doctor.opens; at + doctor.durationMinutes <= doctor.closes; at += doctor.durationMinutes) {
      // Only where the clocks change is the time of day worth its price.
      const millis = isEven ? midnight + at * 60_000 : day.set({ hour: Math.floor(at / 60), minute: at % 60 }).toMillis();
      if (millis > now && !taken.has(millis)) {
        slots.push({ start: new Date(millis), end: new Date(millis + doctor.durationMinutes * 60_000) });
      }
    }
  }
  return slots;
}

function tokenOf(user) {
  return jwt.sign({ name: user.name, role: user.role }, JWT_SECRET, { subject: String(user._id), expiresIn: '12h' });
}

function authenticate(req, res, next) {
  const [scheme, token] = (req.headers.authorization ?? '').split(' ');
  try {
    if (scheme !== 'Bearer') throw new Error('no token');
    req.user = jwt.verify(token, JWT_SECRET);
    next();
  } catch {
    res.status(401).json({ error: 'unauthenticated' });
  }
}

function validate(req, res, next) {
  const errors = validationResult(req);
  if (errors.isEmpty()) return next();
  return res.status(422).json({ errors: errors.array() });
}

const app = express();
app.disable('x-powered-by');
app.use(express.json());

app.post('/auth/register', body('email').isEmail(), body('password').isLength({ min: 8 }), body('name').notEmpty(),
  body('role').optional().isIn(['patient', 'doctor']), validate, async (req, res) => {
    const { email, password, name, role } = req.body;
    const salt = randomBytes(16);
    const hash = await derive(password, salt, 32);
    const user = await User.create({ email, name, role, password: `${salt.toString('hex')}:${hash.toString('hex')}` });
    res.status(201).json({ token: tokenOf(user), user: { id: user._id, name, role: user.role } });
  });

app.post('/auth/login', body('email').isEmail(), body('password').isString(), validate, async (req, res) => {
  const user = await User.findOne({ email: req.body.email }).lean();
  const [salt, hash] = (user?.password ?? ':').split(':').map((part) => Buffer.from(part, 'hex'));
  const given = await derive(req.body.password, salt, 32);
  if (!user || !timingSafeEqual(given, hash)) return res.status(401).json({ error: 'wrong address or password' });
  return res.json({ token: tokenOf(user), user: { id: user._id, name: user.name, role: user.role } });
});

app.post('/doctors', authenticate, body('timeZone').isString(), body('opens').isInt({ min: 0, max: 1440 }),
  body('closes').isInt({ min: 0, max: 1440 }), body('durationMinutes').isInt({ min: 5, max: 480 }), validate,
  async (req, res) => {
    if (req.user.role !== 'doctor') return res.status(403).json({ error: 'forbidden' });
    const { timeZone, opens, closes, durationMinutes } = req.body;
    const doctor = await Doctor.create({ user: req.user.sub, name: req.user.name, timeZone, opens, closes, durationMinutes });
    return res.status(201).json({ id: doctor._id });
  });

app.get('/doctors/:id/slots', param('id').isMongoId(), query('from').isISO8601(), query('to').isISO8601(), validate,
  async (req, res) => {
    const doctor = await Doctor.findById(req.params.id).lean();
    if (!doctor) return res.status(404).json({ error: 'not found' });
    return res.json({ timeZone: doctor.timeZone, slots: await freeSlots(doctor, req.query.from, req.query.to) });
  });

app.post('/appointments', authenticate, body('doctorId').isMongoId(), body('start').isISO8601(),
  body('reason').optional().isString().isLength({ max: 500 }), validate, async (req, res) => {
    const doctor = await Doctor.findById(req.body.doctorId).lean();
    if (!doctor) return res.status(404).json({ error: 'not found' });
    const start = new Date(req.body.start);
    const end = new Date(start.getTime() + doctor.durationMinutes * 60_000);
    if (start <= new Date() || !isOffered(doctor, start)) return res.status(409).json({ error: 'slot_unavailable' });
    const taken = await Appointment.exists({
      ...overlapping(start, end),
      $or: [{ doctor: doctor._id }, { patient: req.user.sub }],
    });
    if (taken) return res.status(409).json({ error: 'slot_taken' });
    const appointment = await Appointment.create({
      doctor: doctor._id,
      doctorName: doctor.name,
      patient: req.user.sub,
      patientName: req.user.name,
      date: DateTime.fromJSDate(start, { zone: doctor.timeZone }).toISODate(),
      start,
      end,
      reason: req.body.reason,
    });
    return res.status(201).json(appointment);
  });

app.use((error, req, res, next) => {
  console.error(error);
  res.status(500).json({ error: 'internal' });
  next();
});

const server = createServer(app);
const io = new Server(server);
const room = (doctor, date) => `doctor:${doctor}:${date}`;

io.use((socket, next) => {
  try {
    socket.data.user = jwt.verify(socket.handshake.auth.token, JWT_SECRET);
    next();
  } catch {
    next(new Error('unauthenticated'));
  }
});

io.on('connection', (socket) => {
  socket.on('watch', async ({ doctorId, date } = {}, done) => {
    try {
      // First the room, then what there is: nothing is missed, and what comes twice does no harm.
      socket.join(room(doctorId, date));
      const doctor = await Doctor.findById(doctorId).lean();
      done({ ok: true, slots: await freeSlots(doctor, date, date) });
    } catch (error) {
      done({ ok: false, error: String(error.message) });
    }
  });
  socket.on('unwatch', ({ doctorId, date } = {}) => socket.leave(room(doctorId, date)));
});

function watch() {
  const pipeline = [{ $match: { operationType: { $in: ['insert', 'update', 'replace'] } } }];
  const changes = Appointment.watch(pipeline, { fullDocument: 'updateLookup' });
  changes.on('change', ({ fullDocument: one }) => {
    if (!one) return;
    io.to(room(one.doctor, one.date)).emit('appointment', {
      id: one._id, doctorId: one.doctor, date: one.date, start: one.start, end: one.end, status: one.status,
    });
  });
  changes.on('error', (error) => {
    console.error(error);
    setTimeout(watch, 1000);
  });
}

await mongoose.connect(MONGO_URL);
await Promise.all([User.init(), Doctor.init(), Appointment.init()]);
watch();
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
