//! Cita: a real-time scheduling server.
