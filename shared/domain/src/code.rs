//! The service's own words as closed lists of codes. A code never changes its meaning; its
//! words on a screen may.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A text that is none of the codes it should be one of. Names the list, not the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownCode {
    /// Which list it should be from.
    pub expected: &'static str,
}

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a known code: expected one of {}", self.expected)
    }
}

impl std::error::Error for UnknownCode {}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident, $called:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $words:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one, in declared order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The code, as entries and the API write it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $code,)* }
            }

            /// What a screen calls it.
            pub fn words(self) -> &'static str {
                match self { $($name::$variant => $words,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownCode;
            fn from_str(text: &str) -> Result<Self, UnknownCode> {
                $name::ALL
                    .iter()
                    .copied()
                    .find(|code| code.as_str() == text)
                    .ok_or(UnknownCode { expected: $called })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}
pub(crate) use codes;

codes!(
    /// What identifies a person or reaches them; each slot holds its own value.
    Slot, "the identifier slots" {
        /// Full name as the person gives it.
        Name = "name", "Name";
        /// What the person likes to be called.
        KnownAs = "known-as", "Known as";
        /// Date of birth, as an ISO date.
        DateOfBirth = "date-of-birth", "Date of birth";
        /// NHS number, ten digits.
        NhsNumber = "nhs-number", "NHS number";
        /// Main telephone number.
        Phone = "phone", "Phone";
        /// Another telephone number.
        OtherPhone = "other-phone", "Other phone";
        /// E-mail address.
        Email = "email", "E-mail";
        /// Where the person lives or stays.
        Address = "address", "Address";
        /// Postcode.
        Postcode = "postcode", "Postcode";
        /// The general practice the person is registered with.
        GpPractice = "gp-practice", "GP practice";
        /// Preferred language.
        Language = "language", "Language";
    }
);

codes!(
    /// A safety fact. There is no grade among them and none is ever computed from them
    /// (NHS England 2025, *Staying safe from suicide*; NICE NG225).
    AlertCode, "the safety facts" {
        /// The person has spoken of current suicidal thoughts.
        SuicidalThoughts = "suicidal-thoughts", "Current suicidal thoughts disclosed";
        /// The person has access to means.
        MeansAccess = "means-access", "Access to means";
        /// Nobody visits alone.
        DoNotVisitAlone = "do-not-visit-alone", "Do not visit alone";
        /// Weapons at hand.
        Weapons = "weapons", "Weapons";
        /// Aggression is known.
        KnownAggression = "known-aggression", "Known aggression";
        /// A safeguarding concern is open.
        SafeguardingOpen = "safeguarding-open", "Safeguarding concern open";
        /// An allergy.
        Allergy = "allergy", "Allergy";
        /// The person is pregnant.
        Pregnancy = "pregnancy", "Pregnancy";
        /// A child lives in the home.
        ChildInHome = "child-in-home", "Child in the home";
        /// Calling is not safe for the person.
        UnsafeToCall = "unsafe-to-call", "Not safe to call";
    }
);

codes!(
    /// Where a case stands.
    Status, "the case statuses" {
        /// Being worked with.
        Open = "open", "Open";
        /// Waiting to be worked with.
        Waiting = "waiting", "Waiting";
        /// Support is interrupted.
        Paused = "paused", "Paused";
        /// Support has ended.
        Closed = "closed", "Closed";
    }
);

codes!(
    /// How a contact took place.
    ContactMode, "the modes of contact" {
        /// In the same room.
        FaceToFace = "face-to-face", "Face to face";
        /// By telephone.
        Phone = "phone", "Phone";
        /// By video.
        Video = "video", "Video";
        /// By text message.
        TextMessage = "text", "Text message";
        /// No contact with the person: a note about the case.
        None = "none", "No contact";
    }
);

codes!(
    /// What a case is about, in the service's own list.
    Theme, "the themes" {
        /// Substance use.
        SubstanceUse = "substance-use", "Substance use";
        /// Self-harm.
        SelfHarm = "self-harm", "Self-harm";
        /// Thoughts of suicide.
        Suicide = "suicide", "Suicide";
        /// Anger.
        Anger = "anger", "Anger";
        /// Domestic abuse.
        DomesticAbuse = "domestic-abuse", "Domestic abuse";
        /// Housing.
        Housing = "housing", "Housing";
        /// Benefits.
        Benefits = "benefits", "Benefits";
    }
);

codes!(
    /// An outcome measure of which the total is recorded. The four ONS questions have no
    /// composite score, so each is its own.
    Instrument, "the outcome measures" {
        /// Short Warwick-Edinburgh Mental Wellbeing Scale, raw total.
        Swemwbs = "swemwbs", "SWEMWBS";
        /// Warwick-Edinburgh Mental Wellbeing Scale.
        Wemwbs = "wemwbs", "WEMWBS";
        /// Patient Health Questionnaire, nine items.
        Phq9 = "phq-9", "PHQ-9";
        /// Generalised Anxiety Disorder, seven items.
        Gad7 = "gad-7", "GAD-7";
        /// ONS personal well-being: life satisfaction.
        Ons4Satisfaction = "ons4-satisfaction", "ONS4 satisfied with life";
        /// ONS personal well-being: worthwhile.
        Ons4Worthwhile = "ons4-worthwhile", "ONS4 worthwhile";
        /// ONS personal well-being: happiness yesterday.
        Ons4Happiness = "ons4-happiness", "ONS4 happy yesterday";
        /// ONS personal well-being: anxiety yesterday.
        Ons4Anxiety = "ons4-anxiety", "ONS4 anxious yesterday";
    }
);

codes!(
    /// At which point of the support a measure was taken.
    OutcomePoint, "the points of measurement" {
        /// When support began.
        Start = "start", "Start";
        /// In between.
        Review = "review", "Review";
        /// When support ended.
        End = "end", "End";
    }
);

codes!(
    /// A low-harm field that the later writer may replace; earlier values stay in the history.
    Field, "the plain fields" {
        /// Case: pronouns.
        Pronouns = "pronouns", "Pronouns";
        /// Case: how the person likes to be contacted.
        PreferredContact = "preferred-contact", "Preferred contact";
        /// Case: what helps in communication, interpreter included.
        CommunicationNeeds = "communication-needs", "Communication needs";
        /// Session: its title.
        Title = "title", "Title";
        /// Session: what was done.
        Activities = "activities", "Activities";
        /// Session: the room.
        Room = "room", "Room";
    }
);

codes!(
    /// What kind of group session.
    SessionForm, "the kinds of session" {
        /// Psychoeducational.
        Psychoeducational = "psychoeducational", "Psychoeducational";
        /// Psychosocial.
        Psychosocial = "psychosocial", "Psychosocial";
        /// Led by peers.
        PeerLed = "peer-led", "Peer-led";
        /// A special project.
        SpecialProject = "special-project", "Special project";
    }
);

codes!(
    /// What a register says of one attender. Declared from the strongest to the weakest: of
    /// concurrent marks the first in this order operates, so that nobody who was there is
    /// reported missing.
    Attendance, "the marks of a register" {
        /// Was there.
        Present = "present", "Present";
        /// Came late.
        Late = "late", "Late";
        /// Left early.
        LeftEarly = "left-early", "Left early";
        /// Sent apologies.
        Apology = "apology", "Apology";
        /// Did not come.
        Absent = "absent", "Absent";
    }
);

codes!(
    /// What a session's facilitators tick off.
    ChecklistItem, "the checklist" {
        /// The room is set up.
        SetUp = "set-up", "Set up";
        /// Exits and premises were checked.
        SafetyCheck = "safety-check", "Safety check";
        /// The code of conduct was made known.
        CodeOfConduct = "code-of-conduct", "Code of conduct";
        /// Refreshments were served.
        Refreshments = "refreshments", "Refreshments";
        /// The room is cleared.
        ClearUp = "clear-up", "Clear up";
        /// The debrief was held.
        Debrief = "debrief", "Debrief";
    }
);
