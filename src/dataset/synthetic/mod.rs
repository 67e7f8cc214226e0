//! Synthetic scenes in the format of SkyScapes: an RGB image, a label map of its 20 classes, and the
//! single objects with what they are like.
//!
//! They are the only source of some classes (parking area, road marking, sidewalk, bikeway), and of
//! relations whose truth is known. A scene is a net of streets, turned and bent, whose blocks hold
//! houses, slabs, shops with parking areas, parks or waste land; vehicles and trees are put on
//! it, the sun casts shadows, and a camera adds texture, haze, blur and noise. The same seed gives the
//! same scene, byte for byte.
//!
//! Water is not drawn: SkyScapes has no class for it.

mod blocks;
mod buildings;
mod camera;
mod canvas;
mod random;
mod roads;
mod trees;
mod vehicles;

use std::fs;
use std::path::Path;

use random::Random;

use super::DatasetError;
use super::instance::Instance;
use super::refsegrs::{IMAGES, LABELS, OBJECTS, Objects};
use super::scene::{LabelMap, Origin};
use super::skyscapes as labels;
use crate::files::PartialDirectory;
use crate::image::{Raster, png};

/// Smallest and largest side of a scene.
pub const SIDES: (usize, usize) = (16, 8192);
/// Smallest and largest metres a pixel.
pub const GSDS: (f64, f64) = (0.03, 2.0);

/// Which scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Decides everything else.
    pub seed: u64,
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Metres a pixel.
    pub gsd_m: f64,
}

/// A scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// What the camera sees.
    pub image: Raster,
    /// The classes of [`super::skyscapes`].
    pub labels: LabelMap,
    /// Buildings and vehicles, in pixels; `roof_material`, `roof_shape`, `colour` and `tone` are known.
    pub instances: Vec<Instance>,
}

/// Draws a scene.
///
/// # Errors
/// [`DatasetError::Scene`] where a setting is out of range.
pub fn draw(settings: &Settings) -> Result<Drawn, DatasetError> {
    settings.check()?;
    let Settings { seed, size, gsd_m } = *settings;
    let mut random = Random::new(seed, 0);
    let frame = canvas::Frame::new(size, gsd_m, &mut random);
    let too_large = || DatasetError::Scene {
        problem: format!("{} x {} pixels do not fit into memory", size.0, size.1),
    };
    let mut canvas =
        canvas::Canvas::new(size, frame, labels::LOW_VEGETATION).ok_or_else(too_large)?;
    let lawn = *random.pick(&[
        (0.5, [0.36, 0.43, 0.23]),
        (0.3, [0.43, 0.45, 0.27]),
        (0.2, [0.52, 0.48, 0.32]),
    ]);
    let lawn = canvas::varied(lawn, 0.12, &mut random);
    canvas.fill(lawn);
    // Far enough that turning and bending show no end.
    let extent = (size.0 as f64).hypot(size.1 as f64) * gsd_m / 2.0 + 30.0;
    let network = roads::Network::plan(extent, &mut Random::new(seed, 1));
    let mut planner = blocks::Planner {
        canvas: &mut canvas,
        random: Random::new(seed, 2),
        objects: blocks::Objects::default(),
        lawn,
    };
    planner.fill(&network);
    network.draw(planner.canvas, &mut Random::new(seed, 3));
    planner.line_roads(&network);
    let objects = planner.objects;
    let instances = raise(&mut canvas, objects, &mut Random::new(seed, 4));
    let (rgb, ground) = canvas.finish();
    let camera = camera::Camera::new(&mut Random::new(seed, 5));
    Ok(Drawn {
        image: camera.take(&rgb, &ground, gsd_m),
        labels: ground,
        instances,
    })
}

/// Puts the objects on the ground: vehicles first, then what casts long shadows on them.
fn raise(
    canvas: &mut canvas::Canvas,
    objects: blocks::Objects,
    random: &mut Random,
) -> Vec<Instance> {
    let azimuth = random.between(0.0, std::f64::consts::TAU);
    let length = random.between(0.35, 1.3);
    let sun = [azimuth.cos() * length, azimuth.sin() * length];
    let darkness = random.between(0.45, 0.68);
    let mut instances = Vec::new();
    for vehicle in &objects.vehicles {
        vehicle.shadow(canvas, sun);
    }
    canvas.cast_shadows(darkness);
    for vehicle in &objects.vehicles {
        instances.extend(vehicle.draw(canvas, random));
    }
    for building in &objects.buildings {
        building.shadow(canvas, sun);
    }
    for tree in &objects.trees {
        tree.shadow(canvas, sun);
    }
    canvas.cast_shadows(darkness);
    for building in &objects.buildings {
        instances.extend(building.draw(canvas, sun, random));
    }
    for tree in &objects.trees {
        tree.draw(canvas, sun, random);
    }
    instances
}

/// Draws `count` scenes with the seeds from `settings.seed` on into the directory `out`, which must not
/// exist yet, as [`super::refsegrs`] reads tiles. `progress` is called with the scenes done.
///
/// # Errors
/// [`DatasetError::Scene`], [`DatasetError::Io`]; nothing is left at `out` then.
pub fn write(
    out: &Path,
    count: usize,
    settings: &Settings,
    mut progress: impl FnMut(usize),
) -> Result<(), DatasetError> {
    settings.check()?;
    let writing = |source| DatasetError::writing(out, source);
    let directory = PartialDirectory::create(out).map_err(writing)?;
    for folder in [IMAGES, LABELS, OBJECTS] {
        fs::create_dir(directory.path().join(folder)).map_err(writing)?;
    }
    for at in 0..count {
        progress(at);
        let seed = settings.seed.wrapping_add(at as u64);
        let drawn = draw(&Settings { seed, ..*settings })?;
        drawn.write(
            directory.path(),
            &format!("synthetic_{seed:06}"),
            settings.gsd_m,
        )?;
    }
    progress(count);
    directory.finish().map_err(writing)
}

impl Drawn {
    fn write(self, root: &Path, name: &str, gsd_m: f64) -> Result<(), DatasetError> {
        let file =
            |folder: &str, extension: &str| root.join(folder).join(format!("{name}.{extension}"));
        let write = |path: &Path, bytes: &[u8]| {
            fs::write(path, bytes).map_err(|source| DatasetError::writing(path, source))
        };
        let path = file(IMAGES, "png");
        let encoded = |path: &Path| {
            let path = path.to_owned();
            move |source| DatasetError::Image { path, source }
        };
        write(&path, &self.image.to_png().map_err(encoded(&path))?)?;
        let path = file(LABELS, "png");
        let size = (self.labels.width, self.labels.height);
        let grey = ::image::ExtendedColorType::L8;
        write(
            &path,
            &png(&self.labels.data, size, grey).map_err(encoded(&path))?,
        )?;
        let path = file(OBJECTS, "json");
        let objects = Objects {
            gsd_m,
            origin: Origin {
                source: "synthetic".to_owned(),
                license: "CC0 1.0".to_owned(),
                attribution: "drawn by rrsis".to_owned(),
            },
            instances: self.instances,
        };
        let json = serde_json::to_vec(&objects).map_err(|error| DatasetError::Json {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        write(&path, &json)
    }
}

impl Settings {
    fn check(&self) -> Result<(), DatasetError> {
        let sides = SIDES.0..=SIDES.1;
        if !sides.contains(&self.size.0) || !sides.contains(&self.size.1) {
            return Err(DatasetError::Scene {
                problem: format!(
                    "its size is {} x {} pixels, but each side must be {} to {} pixels",
                    self.size.0, self.size.1, SIDES.0, SIDES.1
                ),
            });
        }
        // Also what is no number.
        if !(GSDS.0..=GSDS.1).contains(&self.gsd_m) {
            return Err(DatasetError::Scene {
                problem: format!(
                    "a pixel is {} m, but must be {} to {} m",
                    self.gsd_m, GSDS.0, GSDS.1
                ),
            });
        }
        Ok(())
    }
}
