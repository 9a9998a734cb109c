//! Who works at the demo clinic, who goes there, and when: invented people in real places. Tables only.

use jiff::civil::Weekday::{self, Friday, Monday, Saturday, Thursday, Tuesday, Wednesday};
use jiff::civil::time;

use crate::domain::doctor::LocalRange;
use crate::domain::resource::ResourceKind;

/// Reserved for examples (RFC 2606): no mail to it reaches anybody.
const DOMAIN: &str = "cita.example";
/// Where the clinic and its patients are.
pub(super) const ZONE: &str = "America/Bogota";
/// What its accounts speak.
pub(super) const LOCALE: &str = "es-CO";

/// Name and mailbox of the admin.
pub(super) const ADMIN: (&str, &str) = ("Camila Restrepo", "admin");

/// Name and mailbox of the receptionist.
pub(super) const RECEPTION: (&str, &str) = ("Yolanda Prieto", "recepcion");
/// How many doctors, the first, she acts for.
pub(super) const AT_THE_RECEPTION: usize = 4;

/// A doctor of the clinic.
pub(super) struct Physician {
    pub name: &'static str,
    pub mailbox: &'static str,
    pub specialisation: &'static str,
    pub qualifications: &'static [&'static str],
    pub experience_years: u32,
    pub bio: &'static str,
    pub languages: &'static [&'static str],
    pub address: &'static str,
    pub zone: &'static str,
    /// Hours by days of the week.
    pub weekly: &'static [(&'static [Weekday], &'static [LocalRange])],
    pub exceptions: &'static [Exception],
    pub services: &'static [Offer],
}

/// A date with hours of its own; without any it is closed.
pub(super) enum Exception {
    EveryYear {
        month: i8,
        day: i8,
        ranges: &'static [LocalRange],
    },
    /// Days after the clinic was made.
    InDays {
        days: i64,
        ranges: &'static [LocalRange],
    },
}

/// A service of a doctor.
pub(super) struct Offer {
    pub name: &'static str,
    pub minutes: i32,
    pub step: i32,
    /// Minutes before and after.
    pub buffers: (i32, i32),
    pub pesos: i64,
    pub notice_hours: i32,
    pub horizon_days: i32,
    /// Patients of one session.
    pub capacity: i32,
    /// One of [`RESOURCES`].
    pub takes: Option<&'static str>,
}

/// Where ultrasounds are made, by whichever doctor.
const ULTRASOUND_ROOM: &str = "Sala de ecografía";
const DERMATOSCOPE: &str = "Dermatoscopio digital";

/// The rooms and devices of the clinic that services take.
pub(super) const RESOURCES: &[(&str, ResourceKind)] =
    &[(ULTRASOUND_ROOM, ResourceKind::Room), (DERMATOSCOPE, ResourceKind::Device)];

/// The address of a mailbox.
pub(super) fn email(mailbox: &str) -> String {
    format!("{mailbox}@{DOMAIN}")
}

/// Hours and minutes of a local day.
const fn hours(from: (i8, i8), to: (i8, i8)) -> LocalRange {
    LocalRange { from: time(from.0, from.1, 0, 0), to: time(to.0, to.1, 0, 0) }
}

/// Without buffers, to be booked from 2 hours to 60 days ahead, one after the other.
const fn offer(name: &'static str, minutes: i32, pesos: i64) -> Offer {
    Offer {
        name,
        minutes,
        step: minutes,
        buffers: (0, 0),
        pesos,
        notice_hours: 2,
        horizon_days: 60,
        capacity: 1,
        takes: None,
    }
}

const WORKDAYS: &[Weekday] = &[Monday, Tuesday, Wednesday, Thursday, Friday];
const CHRISTMAS_EVE: Exception = Exception::EveryYear { month: 12, day: 24, ranges: &[] };

/// The doctors. The first two are shown to whoever starts the server.
pub(super) const DOCTORS: &[Physician] = &[
    Physician {
        name: "Dra. Ana María Rojas",
        mailbox: "ana.rojas",
        specialisation: "Medicina general",
        qualifications: &[
            "Médica, Universidad Nacional de Colombia",
            "Especialista en medicina familiar, Pontificia Universidad Javeriana",
        ],
        experience_years: 14,
        bio: "Médica de familia. Atiende a niños, adultos y adultos mayores, con énfasis en prevención.",
        languages: &["es", "en"],
        address: "Carrera 13 # 54-30, consultorio 302, Chapinero, Bogotá",
        zone: ZONE,
        weekly: &[(WORKDAYS, &[hours((8, 0), (12, 0)), hours((14, 0), (17, 0))])],
        exceptions: &[
            CHRISTMAS_EVE,
            Exception::EveryYear { month: 12, day: 31, ranges: &[hours((8, 0), (11, 0))] },
            Exception::InDays { days: 12, ranges: &[hours((8, 0), (10, 30))] },
        ],
        services: &[
            offer("Consulta general", 20, 90_000),
            Offer { step: 20, ..offer("Chequeo médico anual", 40, 180_000) },
            Offer { notice_hours: 0, ..offer("Lectura de exámenes", 15, 50_000) },
        ],
    },
    Physician {
        name: "Dr. Carlos Andrés Gómez",
        mailbox: "carlos.gomez",
        specialisation: "Cardiología",
        qualifications: &[
            "Médico, Universidad del Rosario",
            "Especialista en cardiología, Fundación Cardioinfantil",
            "Diplomado en ecocardiografía",
        ],
        experience_years: 21,
        bio: "Cardiólogo clínico con formación en ecocardiografía. Hipertensión, arritmias y falla cardíaca.",
        languages: &["es", "en"],
        address: "Calle 119 # 7-14, consultorio 508, Usaquén, Bogotá",
        zone: ZONE,
        weekly: &[
            (&[Monday, Wednesday], &[hours((7, 0), (13, 0))]),
            (&[Tuesday, Thursday], &[hours((13, 0), (18, 30))]),
        ],
        exceptions: &[CHRISTMAS_EVE],
        services: &[
            Offer { buffers: (0, 10), notice_hours: 12, ..offer("Consulta de cardiología", 30, 260_000) },
            Offer {
                step: 30,
                buffers: (10, 10),
                notice_hours: 24,
                takes: Some(ULTRASOUND_ROOM),
                ..offer("Ecocardiograma", 45, 380_000)
            },
        ],
    },
    Physician {
        name: "Dra. Valentina Herrera",
        mailbox: "valentina.herrera",
        specialisation: "Pediatría",
        qualifications: &["Médica, Universidad de los Andes", "Especialista en pediatría, Universidad El Bosque"],
        experience_years: 9,
        bio: "Pediatra. Crecimiento y desarrollo, lactancia y enfermedades respiratorias de la infancia.",
        languages: &["es"],
        address: "Calle 140 # 11-45, consultorio 204, Cedritos, Bogotá",
        zone: ZONE,
        weekly: &[
            (WORKDAYS, &[hours((8, 30), (12, 30)), hours((15, 0), (18, 0))]),
            (&[Saturday], &[hours((8, 0), (12, 0))]),
        ],
        exceptions: &[CHRISTMAS_EVE, Exception::InDays { days: 6, ranges: &[] }],
        services: &[
            Offer { buffers: (0, 5), ..offer("Consulta de pediatría", 25, 150_000) },
            Offer { step: 30, ..offer("Control de crecimiento y desarrollo", 30, 140_000) },
        ],
    },
    Physician {
        name: "Dr. Juan Sebastián Moreno",
        mailbox: "juan.moreno",
        specialisation: "Odontología",
        qualifications: &["Odontólogo, Universidad Nacional de Colombia", "Especialista en rehabilitación oral"],
        experience_years: 12,
        bio: "Odontólogo general y rehabilitador oral.",
        languages: &["es", "pt"],
        address: "Calle 45 # 22-18, Teusaquillo, Bogotá",
        zone: ZONE,
        weekly: &[
            (&[Tuesday, Wednesday, Thursday, Friday], &[hours((9, 0), (13, 0)), hours((14, 0), (19, 0))]),
            (&[Saturday], &[hours((9, 0), (14, 0))]),
        ],
        exceptions: &[Exception::EveryYear { month: 12, day: 24, ranges: &[hours((9, 0), (12, 0))] }],
        services: &[
            Offer { step: 15, buffers: (0, 10), ..offer("Limpieza dental", 45, 120_000) },
            Offer { buffers: (0, 5), ..offer("Valoración odontológica", 20, 60_000) },
            Offer { step: 30, buffers: (5, 10), notice_hours: 24, ..offer("Resina", 60, 210_000) },
        ],
    },
    Physician {
        name: "Dra. Lucía Fernanda Castro",
        mailbox: "lucia.castro",
        specialisation: "Dermatología",
        qualifications: &["Médica, Pontificia Universidad Javeriana", "Especialista en dermatología, Universidad CES"],
        experience_years: 11,
        bio: "Dermatóloga. Acné, rosácea, control de lunares y dermatología quirúrgica menor.",
        languages: &["es", "en", "fr"],
        address: "Carrera 11 # 94-02, consultorio 411, Chicó, Bogotá",
        zone: ZONE,
        weekly: &[(&[Monday, Tuesday, Thursday], &[hours((10, 0), (13, 0)), hours((15, 0), (19, 30))])],
        exceptions: &[CHRISTMAS_EVE],
        services: &[
            Offer { notice_hours: 4, horizon_days: 90, ..offer("Consulta de dermatología", 20, 230_000) },
            Offer {
                buffers: (5, 5),
                notice_hours: 24,
                horizon_days: 90,
                takes: Some(DERMATOSCOPE),
                ..offer("Dermatoscopia", 30, 290_000)
            },
        ],
    },
    Physician {
        name: "Dr. Mateo Vargas",
        mailbox: "mateo.vargas",
        specialisation: "Ortopedia y traumatología",
        qualifications: &["Médico, Universidad Militar Nueva Granada", "Especialista en ortopedia y traumatología"],
        experience_years: 17,
        bio: "Ortopedista. Rodilla, hombro y lesiones deportivas.",
        languages: &["es", "en"],
        address: "Avenida Suba # 118-33, consultorio 601, Suba, Bogotá",
        zone: ZONE,
        weekly: &[(&[Monday, Wednesday, Friday], &[hours((6, 30), (12, 0))]), (&[Saturday], &[hours((8, 0), (13, 0))])],
        exceptions: &[],
        services: &[Offer {
            step: 15,
            buffers: (0, 5),
            horizon_days: 45,
            ..offer("Consulta de ortopedia", 25, 240_000)
        }],
    },
    Physician {
        name: "Dra. Paula Ximena Duarte",
        mailbox: "paula.duarte",
        specialisation: "Ginecología y obstetricia",
        qualifications: &[
            "Médica, Universidad de La Sabana",
            "Especialista en ginecología y obstetricia, Universidad Militar Nueva Granada",
        ],
        experience_years: 16,
        bio: "Ginecoobstetra. Control prenatal, anticoncepción y salud de la mujer en todas las edades.",
        languages: &["es", "en"],
        address: "Calle 119 # 7-14, consultorio 305, Usaquén, Bogotá",
        zone: ZONE,
        weekly: &[
            (&[Monday, Tuesday, Wednesday], &[hours((7, 0), (12, 0)), hours((13, 30), (16, 30))]),
            (&[Friday], &[hours((7, 0), (11, 0))]),
        ],
        exceptions: &[CHRISTMAS_EVE, Exception::InDays { days: 9, ranges: &[hours((7, 0), (9, 0))] }],
        services: &[
            Offer { buffers: (0, 5), ..offer("Consulta de ginecología", 30, 220_000) },
            Offer {
                buffers: (0, 10),
                horizon_days: 180,
                takes: Some(ULTRASOUND_ROOM),
                ..offer("Control prenatal", 30, 200_000)
            },
        ],
    },
    Physician {
        name: "Dr. Andrés Felipe Quintero",
        mailbox: "andres.quintero",
        specialisation: "Psiquiatría",
        qualifications: &[
            "Médico, Universidad de Antioquia",
            "Especialista en psiquiatría, Pontificia Universidad Javeriana",
        ],
        experience_years: 19,
        bio: "Psiquiatra. Ansiedad, depresión y trastornos del sueño. Consulta en la noche.",
        languages: &["es", "de"],
        address: "Carrera 24 # 39-12, La Soledad, Bogotá",
        zone: ZONE,
        weekly: &[(&[Monday, Tuesday, Wednesday, Thursday], &[hours((17, 0), (21, 30))])],
        exceptions: &[CHRISTMAS_EVE],
        services: &[
            Offer { buffers: (0, 10), notice_hours: 24, ..offer("Consulta de psiquiatría", 50, 280_000) },
            Offer { buffers: (0, 5), notice_hours: 12, ..offer("Seguimiento", 25, 160_000) },
        ],
    },
    Physician {
        name: "Dra. Natalia Beltrán",
        mailbox: "natalia.beltran",
        specialisation: "Nutrición y dietética",
        qualifications: &["Nutricionista dietista, Universidad Nacional de Colombia"],
        experience_years: 6,
        bio: "Nutricionista. Planes de alimentación, diabetes y nutrición deportiva.",
        languages: &["es"],
        address: "Carrera 78K # 36-21 sur, Kennedy, Bogotá",
        zone: ZONE,
        weekly: &[(&[Thursday, Friday], &[hours((10, 0), (18, 0))]), (&[Saturday], &[hours((7, 0), (15, 0))])],
        exceptions: &[],
        services: &[
            Offer { step: 30, horizon_days: 30, ..offer("Valoración nutricional", 45, 110_000) },
            Offer { notice_hours: 1, horizon_days: 30, ..offer("Control nutricional", 20, 70_000) },
        ],
    },
    Physician {
        name: "Dra. Mariana Salcedo",
        mailbox: "mariana.salcedo",
        specialisation: "Psicología",
        qualifications: &[
            "Psicóloga, Universidad Nacional Autónoma de México",
            "Maestría en terapia cognitivo-conductual",
        ],
        experience_years: 8,
        bio: "Psicóloga clínica. Terapia cognitivo-conductual en línea para adultos y parejas.",
        languages: &["es", "en"],
        address: "Telemedicina desde Ciudad de México",
        zone: "America/Mexico_City",
        weekly: &[
            (&[Monday, Wednesday, Friday], &[hours((9, 0), (13, 0))]),
            (&[Tuesday, Thursday], &[hours((16, 0), (20, 0))]),
        ],
        exceptions: &[CHRISTMAS_EVE],
        services: &[
            Offer { step: 60, buffers: (0, 10), notice_hours: 12, ..offer("Sesión de psicoterapia", 50, 170_000) },
            Offer { step: 60, buffers: (5, 10), notice_hours: 24, ..offer("Terapia de pareja", 60, 230_000) },
            Offer { buffers: (0, 10), capacity: 8, ..offer("Taller de manejo de la ansiedad", 60, 60_000) },
        ],
    },
    Physician {
        name: "Dr. Javier Ortega",
        mailbox: "javier.ortega",
        specialisation: "Endocrinología",
        qualifications: &["Médico, Universidad Complutense de Madrid", "Especialista en endocrinología y nutrición"],
        experience_years: 24,
        bio: "Endocrinólogo. Diabetes, tiroides y osteoporosis. Consulta por video.",
        languages: &["es", "en", "it"],
        address: "Telemedicina desde Madrid",
        zone: "Europe/Madrid",
        weekly: &[(&[Monday, Tuesday, Thursday], &[hours((15, 0), (21, 0))])],
        exceptions: &[CHRISTMAS_EVE],
        services: &[
            Offer { step: 15, notice_hours: 6, horizon_days: 90, ..offer("Consulta de endocrinología", 30, 250_000) },
            Offer { notice_hours: 6, horizon_days: 90, ..offer("Control de diabetes", 20, 180_000) },
        ],
    },
    Physician {
        name: "Dra. Isabel Pineda",
        mailbox: "isabel.pineda",
        specialisation: "Neurología",
        qualifications: &[
            "Médica, Universidad de los Andes",
            "Especialista en neurología",
            "Formación en epilepsia, Nueva York",
        ],
        experience_years: 13,
        bio: "Neuróloga. Migraña, epilepsia y segundas opiniones por video.",
        languages: &["es", "en"],
        address: "Telemedicina desde Nueva York",
        zone: "America/New_York",
        weekly: &[
            (&[Monday, Thursday], &[hours((8, 0), (12, 0)), hours((18, 0), (20, 0))]),
            (&[Saturday], &[hours((10, 0), (14, 0))]),
        ],
        exceptions: &[CHRISTMAS_EVE],
        services: &[
            Offer { buffers: (0, 5), notice_hours: 24, ..offer("Consulta de neurología", 40, 310_000) },
            Offer { buffers: (0, 5), notice_hours: 12, ..offer("Control de migraña", 25, 190_000) },
        ],
    },
];

/// Names and mailboxes of the patients. The first two are shown to whoever starts the server.
pub(super) const PATIENTS: &[(&str, &str)] = &[
    ("Laura Gutiérrez", "laura.gutierrez"),
    ("Santiago Torres", "santiago.torres"),
    ("Daniela Ramírez", "daniela.ramirez"),
    ("Diego Alejandro Muñoz", "diego.munoz"),
    ("Sofía Cárdenas", "sofia.cardenas"),
    ("Nicolás Peña", "nicolas.pena"),
    ("Gabriela Ospina", "gabriela.ospina"),
    ("Felipe Bermúdez", "felipe.bermudez"),
    ("Juliana Suárez", "juliana.suarez"),
    ("Óscar Iván Rincón", "oscar.rincon"),
    ("Manuela Arango", "manuela.arango"),
    ("Tomás Hurtado", "tomas.hurtado"),
    ("Carolina Niño", "carolina.nino"),
    ("Samuel Echeverri", "samuel.echeverri"),
    ("Adriana Pulido", "adriana.pulido"),
    ("Jorge Enrique León", "jorge.leon"),
    ("Sara Valencia", "sara.valencia"),
    ("Miguel Ángel Bonilla", "miguel.bonilla"),
    ("Catalina Forero", "catalina.forero"),
    ("Ricardo Sandoval", "ricardo.sandoval"),
    ("Luisa Fernanda Mejía", "luisa.mejia"),
    ("Esteban Cifuentes", "esteban.cifuentes"),
    ("Rosa Elvira Chaparro", "rosa.chaparro"),
    ("Emilio Zapata", "emilio.zapata"),
    ("Verónica Galindo", "veronica.galindo"),
];

/// Why patients come; many do not say.
pub(super) const REASONS: &[Option<&str>] =
    &[None, None, Some("Primera consulta"), Some("Control"), Some("Revisión de exámenes"), Some("Segunda opinión")];

/// What patients say of a visit; some have nothing to say.
pub(super) const REVIEWS: &[Option<(u32, Option<&str>)>] = &[
    None,
    Some((5, Some("Escucha con calma y explica todo con palabras sencillas."))),
    Some((5, Some("Muy puntual y amable."))),
    Some((4, Some("Buena atención, aunque la sala de espera es pequeña."))),
    Some((5, None)),
    Some((4, None)),
    Some((3, Some("La consulta fue corta."))),
];
