#include "backplane/plugin.hpp"
#include "card.hpp"

BACKPLANE_PLUGIN("fixture.good", "1.2.3", "Apache-2.0", kDevice, "files,threads", fixture::Card, fixture::Child,
                 fixture::Listener)
