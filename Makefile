# Gantry. The targets a person wants:
#
#   make            build gantryd, gantry and the plugins into .build/
#   make demo       install what is missing, start everything, show the main job; make demo-stop ends it
#   make demo-sim   a thousand simulated nodes, and instances placed on them, as a picture
#   make check      all tests (SAN=1 with ASan and UBSan, VG=1 under valgrind, T=t/2 one family)
#   make bench      figures, side by side in one run
#   make fuzz       policies, patterns, specs, HTTP at random, FUZZ_SECONDS (60) each, with ASan and UBSan
#   make install    DESTDIR and PREFIX are honoured; with the driver where Debian's Nova is
#   make deb        that driver as a package, .build/…/gantry-nova_VERSION_all.deb
#
# Sources are found by folder: core/LAYER/*.c, plugins/NAME/*.c, t/*.c. A new file needs no edit here.

PREFIX ?= /usr/local
SAN ?=
VG ?=
T ?= t

B := .build/$(if $(SAN),san,plain)
CC := gcc
PKGS := libuv lua5.4 json-c sqlite3 libcurl libarchive openssl
CFLAGS_ALL = -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wwrite-strings -fno-omit-frame-pointer -fstack-protector-strong -D_GNU_SOURCE \
	-Wno-format-truncation -DLLHTTP_STRICT_MODE=1 -Iinclude -Icore -MMD -MP \
	$(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -DGANTRY_SANITIZED) \
	-isystem /usr/share/include/llhttp $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
comma := ,
LDFLAGS_ALL = $(if $(SAN),-fsanitize=address$(comma)undefined) $(LDFLAGS)
LIBS_DAEMON = $(shell pkg-config --libs $(filter-out libarchive,$(PKGS)) 2>/dev/null) -lwslay -lm -ldl -lpthread
LIBS_CTL = $(shell pkg-config --libs json-c libcurl libarchive 2>/dev/null) -lwslay -lm

LAYERS := base loop model store http plugin script flows api
CORE_SRC := $(foreach l,$(LAYERS),$(wildcard core/$(l)/*.c core/$(l)/*/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(B)/%.o) $(B)/llhttp/api.o $(B)/llhttp/http.o $(B)/llhttp/llhttp.o
CTL_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard core/ctl/*.c core/base/*.c))
PLUGINS := $(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/plugin.c))))
PLUGIN_SO := $(PLUGINS:%=$(B)/plugins/%.so)
MANUALS := $(B)/man/gantry.1 $(B)/man/gantryd.8 $(B)/man/gantry.lua.5
COMPLETIONS := $(B)/completion/bash $(B)/completion/zsh $(B)/completion/fish
PAGE := $(patsubst %,$(B)/console/%,$(notdir $(wildcard core/api/page/console.* \
	core/api/page/xterm/*.js core/api/page/xterm/*.css core/api/page/xterm/*.LICENSE)))
TEST_SRC := $(wildcard t/[0-9]*.c plugins/*/t/[0-9]*.c)
TEST_BIN := $(TEST_SRC:%.c=$(B)/%.t)
HELPER_SRC := $(wildcard t/fake/*.c t/bench/*.c t/fuzz/*.c)
HELPER_BIN := $(HELPER_SRC:%.c=$(B)/%)

# A make that makes calls on all processors where the caller said nothing.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
BUILDS := $(filter all install tests fuzz-programs,$(or $(MAKECMDGOALS),all))
ifneq ($(BUILDS),)
ifneq ($(shell pkg-config --exists $(PKGS) 2>/dev/null && echo found),found)
$(error packages that building needs are missing; `make deps` as root installs them)
endif
endif

# V=1 shows the commands
say = $(if $(V),,@echo "  $(1)" $(patsubst $(B)/%,%,$@);)

.PHONY: all deps deps-check tests check bench fuzz fuzz-programs demo demo-stop demo-sim install install-files install-nova deb check-nova check-tempest \
	clean format
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/gantryd $(B)/gantry $(PLUGIN_SO) $(MANUALS) $(COMPLETIONS) $(PAGE)

# --- objects -------------------------------------------------------------------------------------

$(B)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -std=gnu17 -O2 -g -fPIC -DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp -MMD -MP -c $< -o $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CFLAGS_ALL) -fPIC -c $< -o $@

$(B)/libcore.a: $(CORE_OBJ)
	@rm -f $@
	$(call say,AR)ar rcs $@ $^

$(B)/gantryd: $(patsubst %.c,$(B)/%.o,$(wildcard core/*.c)) $(B)/libcore.a
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_DAEMON)

$(B)/gantry: $(CTL_OBJ)
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_CTL)

# A plugin exports one symbol; the core's services come by the host table. Its tests link its objects.
LIBS_stdout = -lz
LIBS_net = -lmnl
LIBS_sim = -larchive
define plugin_rule
$(B)/plugins/$(1).so: $(patsubst %.c,$(B)/%.o,$(wildcard plugins/$(1)/*.c))
	@mkdir -p $$(@D)
	$$(call say,LINK)$(CC) $$(LDFLAGS_ALL) -shared -Wl,--version-script=plugins/exports.map $$^ -o $$@ -ljson-c $$(LIBS_$(1))
$(patsubst %.c,$(B)/%.t,$(wildcard plugins/$(1)/t/[0-9]*.c)): LIBS_DAEMON += $$(LIBS_$(1))
$(patsubst %.c,$(B)/%.t,$(wildcard plugins/$(1)/t/[0-9]*.c)): $(patsubst %.c,$(B)/%.o,$(wildcard plugins/$(1)/*.c))
endef
$(foreach p,$(PLUGINS),$(eval $(call plugin_rule,$(p))))

# --- the console's page: its own files, and xterm.js as it is in the npm registry -------------------

$(B)/console/console.%: core/api/page/console.%
	$(call say,COPY)install -D -m 644 $< $@

$(B)/console/%: core/api/page/xterm/%
	$(call say,COPY)install -D -m 644 $< $@

# --- manual pages and completion: printed by the programs from their own tables -------------------

$(B)/man/gantry.1: $(B)/gantry
	@mkdir -p $(@D)
	$(call say,MAN)$< help --man >$@

$(B)/man/gantryd.8: $(B)/gantryd
	@mkdir -p $(@D)
	$(call say,MAN)$< --man >$@

$(B)/man/gantry.lua.5: $(B)/gantryd $(PLUGIN_SO)
	@mkdir -p $(@D)
	$(call say,MAN)$< --options --man >$@

$(B)/completion/%: $(B)/gantry
	@mkdir -p $(@D)
	$(call say,SHELL)$< completion $* >$@

# --- tests ---------------------------------------------------------------------------------------

$(B)/%.t: $(B)/%.o $(B)/libcore.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_DAEMON)

$(HELPER_BIN): %: %.o $(B)/libcore.a
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_DAEMON)

tests: all $(TEST_BIN) $(HELPER_BIN)

deps:
	@contrib/deps.sh

deps-check:
	@contrib/deps.sh check

check: deps-check
	@$(MAKE) --no-print-directory $(JOBS) tests SAN=$(SAN)
	@BUILD=$(B) SAN=$(SAN) VG=$(VG) t/run $(T)

bench: deps-check
	@$(MAKE) --no-print-directory $(JOBS) tests
	@BUILD=$(B) t/bench/run

fuzz: deps-check
	@$(MAKE) --no-print-directory $(JOBS) fuzz-programs SAN=1
	@BUILD=.build/san SAN=1 t/fuzz/run

fuzz-programs: $(filter $(B)/t/fuzz/% $(B)/t/fake/http_server,$(HELPER_BIN))

demo: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@BUILD=$(B) contrib/demo/start

demo-stop:
	@contrib/demo/stop

demo-sim: deps
	@$(MAKE) --no-print-directory all
	@BUILD=$(B) contrib/demo/sim

# Everything relative to the program: gantryd in PREFIX/sbin finds its plugins in PREFIX/lib/gantry/plugins.
I := $(DESTDIR)$(PREFIX)
install: all
	@$(MAKE) --no-print-directory install-files
	@[ ! -d $(P)/nova/virt ] || $(MAKE) --no-print-directory install-nova

# What is built, as it is
install-files:
	install -D -m 755 $(B)/gantryd $(I)/sbin/gantryd
	install -D -m 755 $(B)/gantry $(I)/bin/gantry
	install -D -m 755 -t $(I)/lib/gantry/plugins $(PLUGIN_SO)
	install -D -m 644 -t $(I)/include/gantry include/gantry/*.h
	for page in $(MANUALS); do install -D -m 644 -t $(I)/share/man/man$${page##*.} $$page || exit; done
	install -D -m 644 $(B)/completion/bash $(I)/share/bash-completion/completions/gantry
	install -D -m 644 $(B)/completion/zsh $(I)/share/zsh/site-functions/_gantry
	install -D -m 644 $(B)/completion/fish $(I)/share/fish/vendor_completions.d/gantry.fish
	install -D -m 644 core/api/openapi.yaml $(I)/share/gantry/openapi.yaml
	cd scripts && find . -type f -exec install -D -m 644 {} "$(abspath $(I))/share/gantry/{}" ';'
	install -D -m 644 -t $(I)/share/gantry/console $(PAGE)
	install -d $(I)/lib/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|' contrib/systemd/gantryd.service >$(I)/lib/systemd/system/gantryd.service
	install -D -m 644 -t $(I)/share/gantry/systemd contrib/systemd/net.conf

# Nova's driver: Nova loads drivers from nova.virt only.
P := $(DESTDIR)/usr/lib/python3/dist-packages
install-nova:
	install -D -m 644 -t $(P)/gantry_nova contrib/nova/gantry_nova/*.py
	install -D -m 644 -t $(P)/nova/virt/gantry contrib/nova/nova/virt/gantry/__init__.py

VERSION = $(shell sed -n 's/^\#define API_VERSION "\(.*\)"/\1/p' core/api/api.h)
D := $(B)/gantry-nova
deb:
	@rm -rf $(D)
	@$(MAKE) --no-print-directory install-nova DESTDIR=$(abspath $(D))
	install -D -m 644 contrib/nova/README.md $(D)/usr/share/doc/gantry-nova/README.md
	install -D -m 755 -t $(D)/DEBIAN contrib/nova/debian/postinst contrib/nova/debian/prerm
	sed 's|@VERSION@|$(VERSION)|' contrib/nova/debian/control >$(D)/DEBIAN/control
	dpkg-deb --root-owner-group --build $(D) $(B)/gantry-nova_$(VERSION)_all.deb

# A real OpenStack on loopback, from Debian's packages, as root; see contrib/openstack
check-nova check-tempest: deps-check
	@$(MAKE) --no-print-directory $(JOBS) all
	@BUILD=$(B) contrib/openstack/$(subst check-nova,check,$@)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf .build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
